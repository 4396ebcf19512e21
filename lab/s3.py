"""S3: bucket policies whose conditions count. moto takes a condition that it does not know for a denial."""

import json
import operator
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import IAMPolicy
from moto.s3.models import FakeBucket

from lab.extend import Method, around
from lab.lab import Lab

# The lab's plain HTTP stands for AWS's endpoints, which clients reach by TLS.
CONTEXT = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}
NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "NumericLessThan": operator.lt,
    "NumericLessThanEquals": operator.le,
    "NumericGreaterThan": operator.gt,
    "NumericGreaterThanEquals": operator.ge,
}


class SimpleStorageService:
    def __init__(self, lab: Lab) -> None:
        """Everything about a bucket is in moto's state."""

    def install(self) -> None:
        around(FakeBucket, "get_permission")(get_permission)

    def tick(self) -> None:
        """Nothing moves by itself."""

    def reset(self) -> None:
        """Nothing real belongs to S3."""


def get_permission(original: Method, self: Any, action: str, resource: str) -> Any:
    if self.policy is None:
        return original(self, action, resource)
    return applying(self.policy).is_action_permitted(action, resource)


def applying(policy: str | bytes) -> IAMPolicy:
    """Those of its statements whose conditions are met."""
    document = json.loads(policy)
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    met = [
        {name: value for name, value in statement.items() if name != "Condition"}
        for statement in statements
        if all(holds(test, wanted) for test, wanted in statement.get("Condition", {}).items())
    ]
    return IAMPolicy(json.dumps({**document, "Statement": met}))


def holds(test: str, wanted: dict[str, Any]) -> bool:
    """Whether a condition is met. One about something that the lab does not know of is not."""
    return all(_compare(test, CONTEXT.get(key.lower()), value) for key, value in wanted.items())


def _compare(test: str, actual: str | None, wanted: Any) -> bool:
    values = [str(value).lower() for value in (wanted if isinstance(wanted, list) else [wanted])]
    if actual is None:
        return False
    if test in NUMERIC:
        return any(NUMERIC[test](float(actual), float(value)) for value in values)
    return test in ("Bool", "StringEquals") and actual in values
