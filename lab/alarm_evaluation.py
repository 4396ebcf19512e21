"""What an alarm's newest datapoints make of it: its state and AWS's words for why.

Knows neither moto nor a clock; lab.alarm_states feeds it. Sources: CloudWatch user guide, "Alarm evaluation" and
"Configuring how CloudWatch alarms treat missing data".
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

# AWS gets "a higher number of data points than specified" and does not say how many; in its examples it is two more.
MORE_DATAPOINTS = 2

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
TREATED_AS = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


@dataclass(frozen=True)
class Condition:
    """When an alarm is to be raised. `datapoints_to_alarm` is None when nobody set it, which AWS's words tell."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int | None = None
    treat_missing_data: str = "missing"

    @property
    def needed(self) -> int:
        return self.datapoints_to_alarm or self.evaluation_periods

    @property
    def evaluation_range(self) -> int:
        return self.evaluation_periods + MORE_DATAPOINTS

    def is_breached_by(self, value: float) -> bool:
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Datapoint:
    begins: datetime
    value: float | None = None
    sample_count: float | None = None


@dataclass(frozen=True)
class Verdict:
    state: str
    reason: str
    evaluated: tuple[Datapoint, ...]


@dataclass(frozen=True)
class Evidence:
    """The datapoints that count, newest first: the most recent existing ones, as few missing ones as possible."""

    breaching: list[tuple[Datapoint, float]]
    within: list[tuple[Datapoint, float]]
    missing: int
    age_of_oldest: int  # in periods, of all that exist


def evaluate(condition: Condition, recent: Sequence[Datapoint]) -> Verdict | None:
    """`recent` is the evaluation range, newest first. None maintains the state that the alarm has."""
    evidence = _weigh(condition, recent)
    state = _state(condition, evidence)
    if state is None:
        return None
    evaluated = tuple(point for point, _ in _newest_first(evidence)) or tuple(recent[: condition.evaluation_periods])
    return Verdict(state, _reason(condition, evidence, state), evaluated)


def _weigh(condition: Condition, recent: Sequence[Datapoint]) -> Evidence:
    existing = [(point, point.value) for point in recent if point.value is not None]
    used = existing[: condition.evaluation_periods]
    return Evidence(
        breaching=[one for one in used if condition.is_breached_by(one[1])],
        within=[one for one in used if not condition.is_breached_by(one[1])],
        missing=condition.evaluation_periods - len(used),
        age_of_oldest=max((age for age, point in enumerate(recent, 1) if point.value is not None), default=0),
    )


def _newest_first(evidence: Evidence) -> list[tuple[Datapoint, float]]:
    return sorted([*evidence.breaching, *evidence.within], key=lambda one: one[0].begins, reverse=True)


def _state(condition: Condition, evidence: Evidence) -> str | None:
    breaching = len(evidence.breaching)
    if evidence.missing and condition.treat_missing_data == "breaching":
        breaching += evidence.missing
    if breaching >= condition.needed:
        return "ALARM"
    if not evidence.missing or evidence.within or condition.treat_missing_data in TREATED_AS:
        return "OK"
    if condition.treat_missing_data == "ignore":
        return None
    # Nothing was within the threshold. Premature is what the next datapoint may still take back.
    return "ALARM" if evidence.age_of_oldest >= condition.needed else "INSUFFICIENT_DATA"


def _reason(condition: Condition, evidence: Evidence, state: str) -> str:
    if state == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {_count(evidence.missing, 'datapoint')} unknown."
    shown = evidence.breaching if state == "ALARM" else evidence.within
    received = _shown(condition, shown, state) if shown else _received(condition, evidence)
    filled, minimum = _filled(condition, evidence), ""
    if condition.datapoints_to_alarm and shown:
        to_change = condition.needed if state == "ALARM" else condition.evaluation_periods - condition.needed + 1
        change = "OK -> ALARM" if state == "ALARM" else "ALARM -> OK"
        minimum = f" (minimum {_number(to_change, 'datapoint')} for {change} transition)"
    return f"Threshold Crossed: {received}{filled}{minimum}."


def _shown(condition: Condition, shown: list[tuple[Datapoint, float]], state: str) -> str:
    listed = ", ".join(f"{value} ({point.begins:%d/%m/%y %H:%M:%S})" for point, value in shown)
    number = _number(len(shown), "datapoint")
    if condition.datapoints_to_alarm:
        number = f"{len(shown)} out of the last {condition.evaluation_periods} datapoints"
    verb = ("was" if len(shown) == 1 else "were") + ("" if state == "ALARM" else " not")
    words = COMPARISONS[condition.comparison][1]
    return f"{number} [{listed}] {verb} {words} the threshold ({condition.threshold})"


def _received(condition: Condition, evidence: Evidence) -> str:
    number = len(evidence.breaching) + len(evidence.within)
    received = f"{_count(number, 'datapoint')} received" if number else "no datapoints were received"
    return f"{received} for {_number(condition.evaluation_periods, 'period')}"


def _filled(condition: Condition, evidence: Evidence) -> str:
    treated = TREATED_AS.get(condition.treat_missing_data)
    if not evidence.missing or not treated:
        return ""
    return f" and {_count(evidence.missing, 'missing datapoint')} treated as [{treated}]"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _count(number: int, noun: str) -> str:
    return f"{_number(number, noun)} {'was' if number == 1 else 'were'}"
