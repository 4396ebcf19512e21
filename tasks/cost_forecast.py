"""What this month and the next will cost, with an interval: Cost Explorer's forecast, else our own, by name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import fmean, pstdev

from tasks.cents import to_cent
from tasks.cost_explorer import Charge, call
from tasks.kinds import probe
from tasks.month import Month

LEVEL_PERCENT = 80
Z = 1.2816  # of a normal distribution, LEVEL_PERCENT of it lie within as many deviations
AWS = "Cost Explorer's forecast"
OWN = "the mean of the days known, and their spread"
FEWEST_DAYS = 7


@dataclass(frozen=True)
class Forecast:
    """Of a whole month. At least `LEVEL_PERCENT` of outcomes lie from `low` to `high`."""

    month: Month
    mean: Decimal
    low: Decimal
    high: Decimal
    method: str


@dataclass(frozen=True)
class Day:
    day: date
    mean: Decimal
    low: Decimal
    high: Decimal


@probe
def get_cost_forecast(start: date, end: date) -> tuple[Day, ...]:
    """One paid request.

    Raises:
        CostUnavailable: it does not tell, and why.
    """
    asked = {
        "TimePeriod": {"Start": str(start), "End": str(end)},
        "Metric": "UNBLENDED_COST",
        "Granularity": "DAILY",
        "PredictionIntervalLevel": LEVEL_PERCENT,
    }
    found = call("get_cost_forecast", f"forecast of {start} to {end}", asked)["ForecastResultsByTime"]
    names = ("MeanValue", "PredictionIntervalLowerBound", "PredictionIntervalUpperBound")
    return tuple(
        Day(date.fromisoformat(one["TimePeriod"]["Start"]), *(Decimal(one[name]) for name in names)) for one in found
    )


def add_up(days: Sequence[Day], month: Month, known: Decimal) -> Forecast:
    """A month from what is known of it and its days to come, each at its bound: wider than AWS's own for a sum."""
    ahead = [one for one in days if month.holds(one.day)]
    mean, low, high = (sum((getattr(one, name) for one in ahead), known) for name in ("mean", "low", "high"))
    return Forecast(month, to_cent(mean), to_cent(low), to_cent(high), AWS)


def extrapolate(daily: Iterable[Charge], months: Sequence[tuple[Month, Decimal, int]]) -> tuple[Forecast, ...]:
    """Ours, for months of which an amount is known and some days are to come; none from less than a week."""
    sums: dict[date, Decimal] = {}
    for one in daily:
        sums[one.day] = sums.get(one.day, Decimal(0)) + one.unblended
    recent = [float(sums[day]) for day in sorted(sums)[-28:]]
    if len(recent) < FEWEST_DAYS:
        return ()
    found = []
    for month, known, days in months:
        ahead, reach = Decimal(fmean(recent)) * days, Decimal(Z * pstdev(recent) * days**0.5)
        low, high = known + max(ahead - reach, Decimal(0)), known + ahead + reach
        found.append(Forecast(month, to_cent(known + ahead), to_cent(low), to_cent(high), OWN))
    return tuple(found)


def days_left(month: Month, today: date) -> int:
    """From today on: today's own costs are not told before tomorrow."""
    return (month.end - max(today, month.first)).days if today < month.end else 0
