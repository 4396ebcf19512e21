"""Values in Logs Insights: how they compare, which functions there are, how a result shows them."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class Moment(int):
    """Milliseconds since 1970 that a result shows as date and time."""


def milliseconds(duration: str) -> float:
    digits = duration.rstrip("mshdw")
    return float(int(digits) * MILLISECONDS[duration[len(digits) :]])


def number_of(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def text_of(value: Any) -> str:
    """As a query result shows it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Moment):
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S}.{value % 1000:03d}"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return str(value)


def compare(sign: str, left: Any, right: Any) -> bool:
    """As numbers where both are, else as texts. A missing value differs from every value."""
    if left is None or right is None:
        return sign == "!=" and left is not right
    numbers = number_of(left), number_of(right)
    a, b = numbers if None not in numbers else (text_of(left), text_of(right))
    return bool(COMPARISONS[sign](a, b))


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _bin(moment: Any, period: float) -> Moment | None:
    return None if moment is None else Moment(int(moment // period * period))


def _first_present(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda x: abs(float(x)),
    "bin": _bin,
    "ceil": lambda x: float(math.ceil(float(x))),
    "coalesce": _first_present,
    "concat": lambda *texts: "".join(text_of(text) for text in texts if text is not None),
    "datefloor": _bin,
    "floor": lambda x: float(math.floor(float(x))),
    "frommillis": lambda x: Moment(int(float(x))),
    "greatest": lambda *xs: max(float(x) for x in xs),
    "isblank": lambda x: x is None or not text_of(x).strip(),
    "isempty": lambda x: x is None or text_of(x) == "",
    "ispresent": lambda x: x is not None,
    "least": lambda *xs: min(float(x) for x in xs),
    "log": math.log,
    "replace": lambda text, old, new: text_of(text).replace(old, new),
    "sqrt": math.sqrt,
    "strcontains": lambda text, part: part in text_of(text),
    "strlen": lambda text: float(len(text_of(text))),
    "substr": lambda text, start, length=1e9: text_of(text)[int(start) :][: int(length)],
    "tolower": lambda text: text_of(text).lower(),
    "tomillis": float,
    "toupper": lambda text: text_of(text).upper(),
    "trim": lambda text: text_of(text).strip(),
}
