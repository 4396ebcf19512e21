"""CloudTrail's event history: which management calls changed something, by whom, with which parameters."""

import json
import time
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import Any

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.responses import BaseResponse

from lab.cloudtrail_events import describe_call, is_recorded
from lab.extend import AWSError, Method, around, operation
from lab.lab import Lab

DELIVERY_AWS_SECONDS = 300.0  # CloudTrail's user guide: "within an average of about 5 minutes of an API call"
KEPT = 20_000
MOST_RESULTS = 50
ATTRIBUTES = {
    "EventId": "EventId",
    "EventName": "EventName",
    "EventSource": "EventSource",
    "ReadOnly": "ReadOnly",
    "Username": "Username",
    "AccessKeyId": "AccessKeyId",
}


class CloudTrail:
    """Only calls that change something and that succeeded are kept; `deliver_at` is when LookupEvents shows them."""

    def __init__(self, lab: Lab) -> None:
        self._clock = lab.clock
        self._events: deque[tuple[float, dict[str, Any]]] = deque(maxlen=KEPT)

    def install(self) -> None:
        @around(BaseResponse, "call_action")
        def call_action(original: Method, responses: Any) -> Any:
            called_at = datetime.now(UTC)
            answer = original(responses)
            if answer[0] < 300 and is_recorded(responses):
                event = describe_call(responses, called_at, str(uuid.uuid4()))
                self._events.append((self._clock.deadline(DELIVERY_AWS_SECONDS), event))
            return answer

        operation(CloudTrailResponse, "LookupEvents")(self._lookup_events)

    def tick(self) -> None:
        """Nothing moves by itself."""

    def reset(self) -> None:
        self._events.clear()

    def _lookup_events(self, responses: Any) -> dict[str, Any]:
        """Newest first, as AWS gives them."""
        asked = json.loads(responses.body or "{}")
        most = _most(asked)
        now = time.monotonic()
        found = [e for at, e in reversed(self._events) if at <= now and _fits(e, asked)]
        rest = _after(found, asked.get("NextToken"))
        more = {"NextToken": rest[most - 1]["EventId"]} if len(rest) > most else {}
        return {"Events": rest[:most], **more}


def _most(asked: dict[str, Any]) -> int:
    most: int = asked.get("MaxResults", MOST_RESULTS)
    if not 1 <= most <= MOST_RESULTS:
        raise AWSError("InvalidMaxResultsException", f"MaxResults must be between 1 and {MOST_RESULTS}.")
    if len(asked.get("LookupAttributes", [])) > 1:
        raise AWSError("InvalidLookupAttributesException", "Only one lookup attribute can be specified.")
    return most


def _after(found: list[dict[str, Any]], token: str | None) -> list[dict[str, Any]]:
    """What follows the event that the last page ended with: newer ones may have arrived since."""
    if token is None:
        return found
    for place, event in enumerate(found):
        if event["EventId"] == token:
            return found[place + 1 :]
    raise AWSError("InvalidNextTokenException", "The next token is not valid.")


def _fits(event: dict[str, Any], asked: dict[str, Any]) -> bool:
    at = event["EventTime"].timestamp()
    if not asked.get("StartTime", 0) <= at <= asked.get("EndTime", float("inf")):
        return False
    for wanted in asked.get("LookupAttributes", []):
        key, value = wanted["AttributeKey"], wanted["AttributeValue"]
        if key in ATTRIBUTES:
            return bool(event[ATTRIBUTES[key]] == value)
        return any(one[key] == value for one in event["Resources"])
    return True
