"""Days that cost more or less than such days do: AWS's own findings where it looks, else ours."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import median

from tasks.cents import to_cent
from tasks.cost_explorer import Charge, call
from tasks.kinds import probe
from tasks.month import Month

AWS = "AWS Cost Anomaly Detection"
OWN = "our own: the median of the weekday in 8 weeks, the week before, monthly charges"
WEEKS = 8
FEWEST_WEEKS = 4
NORMAL = Decimal("1.4826")  # a median deviation times this is a standard deviation, where deviations are normal
DEVIATIONS = 4
SMALLEST_SHARE = Decimal("0.15")  # of what was expected; anything less is no surprise however steady the days were
SMALLEST_DOLLARS = Decimal(1)  # a day
DAYS_ASKED = 7 * WEEKS + 31


@dataclass(frozen=True)
class Anomaly:
    """`impact`: dollars above what was expected, below it when negative."""

    service: str
    first: date
    last: date
    impact: Decimal
    method: str


@probe
def get_anomalies(month: Month) -> tuple[tuple[Anomaly, ...] | None, int]:
    """AWS's own of a month, None where no monitor looks; and how many requests that took.

    Raises:
        CostUnavailable: it does not tell.
    """
    if not call("get_anomaly_monitors", "anomaly monitors", {})["AnomalyMonitors"]:
        return None, 1
    last = month.end - timedelta(days=1)
    asked: dict[str, object] = {"DateInterval": {"StartDate": str(month.first), "EndDate": str(last)}}
    found: list[Anomaly] = []
    requests = 1
    while True:
        page = call("get_anomalies", f"anomalies of {month}", asked)
        requests += 1
        found.extend(_read(one) for one in page["Anomalies"])
        if not (token := page.get("NextPageToken")):
            return tuple(found), requests
        asked["NextPageToken"] = token


def _read(one: Mapping[str, object]) -> Anomaly:
    impact = one["Impact"]
    assert isinstance(impact, Mapping)  # noqa: S101 - as botocore's model has it
    first = str(one["AnomalyStartDate"])[:10]
    return Anomaly(
        service=str(one.get("DimensionValue", "")) or "unknown",
        first=date.fromisoformat(first),
        last=date.fromisoformat(str(one.get("AnomalyEndDate", first))[:10]),
        impact=to_cent(Decimal(str(impact.get("TotalImpact", impact["MaxImpact"])))),
        method=AWS,
    )


def find_anomalies(daily: Iterable[Charge], month: Month) -> tuple[Anomaly, ...]:
    """In daily charges by service that begin `DAYS_ASKED` days before the month ends; the largest first."""
    series: dict[str, dict[date, Decimal]] = defaultdict(dict)
    for one in daily:
        series[one.keys[0]][one.day] = one.unblended
    found = [one for service, days in series.items() for one in _of_service(service, days, month)]
    return tuple(sorted(found, key=lambda one: abs(one.impact), reverse=True))


def _of_service(service: str, days: Mapping[date, Decimal], month: Month) -> Iterator[Anomaly]:
    """Neighbouring days of the same sign are one."""
    run: list[tuple[date, Decimal]] = []
    for number in range(month.days):
        day = month.first + timedelta(days=number)
        excess = _excess(days, day)
        if run and (not excess or (excess > 0) != (run[0][1] > 0)):
            yield _joined(service, run)
            run = []
        if excess:
            run.append((day, excess))
    if run:
        yield _joined(service, run)


def _joined(service: str, run: Sequence[tuple[date, Decimal]]) -> Anomaly:
    return Anomaly(service, run[0][0], run[-1][0], to_cent(sum((excess for _, excess in run), Decimal(0))), OWN)


def _excess(days: Mapping[date, Decimal], day: date) -> Decimal:
    """Dollars away from what was expected; 0 where that is no surprise, or nothing could be expected yet."""
    before = [days[past] for week in range(1, WEEKS + 1) if (past := day - timedelta(weeks=week)) in days]
    actual = days.get(day, Decimal(0))
    if len(before) < FEWEST_WEEKS:
        return Decimal(0)
    expected = median(before)
    spread = NORMAL * median([abs(one - expected) for one in before])
    reach = max(DEVIATIONS * spread, SMALLEST_SHARE * abs(expected), SMALLEST_DOLLARS)
    level = days.get(day - timedelta(weeks=1), Decimal(0))
    if abs(actual - expected) <= reach or abs(actual - level) <= reach or _is_monthly(days, day, reach):
        return Decimal(0)
    return actual - expected


def _is_monthly(days: Mapping[date, Decimal], day: date, reach: Decimal) -> bool:
    """What is charged once a month stands out of its neighbours on the same day of the month before, too."""
    month = Month.of(day).after(-1)
    then = month.first + timedelta(days=min(day.day, month.days) - 1)
    last = days.get(then, Decimal(0))
    beside = median(days.get(then + timedelta(days=step), Decimal(0)) for step in (-1, 1))
    is_alike = abs(days.get(day, Decimal(0)) - last) <= max(reach, SMALLEST_SHARE * abs(last))
    return is_alike and abs(last - beside) > reach
