"""Cost Explorer's filter expressions and group keys."""

from collections.abc import Mapping
from typing import Any

from lab.cost_history import CostHistory, Series
from lab.extend import AWSError

DIMENSIONS = ("SERVICE", "USAGE_TYPE", "RECORD_TYPE", "REGION", "LINKED_ACCOUNT")


def key_of(history: CostHistory, one: Series, kind: str, key: str) -> str:
    """The name of the group that a charge falls into."""
    match kind:
        case "DIMENSION":
            return _dimension(one, key)
        case "TAG":
            return f"{key}${history.tag(one, key)}"
    raise AWSError("ValidationException", f"The group type {kind} is not offered by this lab.")


def holds(history: CostHistory, condition: Mapping[str, Any], one: Series) -> bool:
    """Whether a charge meets a filter expression; an empty one takes all."""
    if len(condition) > 1:
        raise AWSError("ValidationException", "Expression must have only one of Or, And, Not, Dimensions, Tags.")
    for word, inner in condition.items():
        match word:
            case "And":
                return all(holds(history, part, one) for part in inner)
            case "Or":
                return any(holds(history, part, one) for part in inner)
            case "Not":
                return not holds(history, inner, one)
            case "Dimensions":
                return _matches(_dimension(one, inner["Key"]), inner)
            case "Tags":
                return _matches(history.tag(one, inner["Key"]), inner)
            case _:
                raise AWSError("ValidationException", f"The expression {word} is not offered by this lab.")
    return True


def _dimension(one: Series, key: str) -> str:
    if key not in DIMENSIONS:
        raise AWSError("ValidationException", f"The dimension {key} is not offered by this lab.")
    return one.dimensions[key]


def _matches(value: str, inner: Mapping[str, Any]) -> bool:
    options = inner.get("MatchOptions", ["EQUALS"])
    if "ABSENT" in options:
        return value == ""
    tests = {"STARTS_WITH": str.startswith, "ENDS_WITH": str.endswith, "CONTAINS": str.__contains__}
    compare = next((tests[option] for option in options if option in tests), str.__eq__)
    return any(compare(value, wanted) for wanted in inner.get("Values", ()))
