"""What was spent, why it changed and what comes next: everything that Cost Explorer is asked for one review."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from tasks import cost_anomalies, cost_forecast
from tasks.cost_anomalies import Anomaly
from tasks.cost_drivers import Comparison, compare, require_sums, sum_by
from tasks.cost_explorer import (
    REQUEST_DOLLARS,
    Answer,
    Charge,
    CostExplorerClosed,
    CostUnavailable,
    Question,
    get_cost_and_usage,
)
from tasks.cost_forecast import Forecast
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.month import Month

MONTHS_SHOWN = 13
MONTHS_TOLD = 13  # before this one; Cost Explorer keeps no more unless an account asks for it
TAG, PROJECT_TAG = "Environment", "Project"
SERVICES_BY_DAY = 40  # the dearest: with all of them the pages of the daily answer, each paid, would grow with them
R = TypeVar("R")


@dataclass
class Spending:
    """What is known; `gaps` says what is not, and what to do about it."""

    month: Month
    today: date
    answers: dict[str, Answer] = field(default_factory=dict)
    comparison: Comparison | None = None
    anomalies: tuple[Anomaly, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    gaps: list[str] = field(default_factory=list)
    by_day: tuple[str, ...] = ()
    requests: int = 0

    @property
    def paid(self) -> Decimal:
        return self.requests * REQUEST_DOLLARS

    @property
    def currency(self) -> str:
        return next((one.currency for one in self.answers.values() if one.charges), "USD")

    def charges(self, name: str) -> tuple[Charge, ...]:
        return self.answers[name].charges if name in self.answers else ()

    def environment(self, month: Month, name: str) -> Decimal:
        """What carries the tag of an environment; the empty name is what carries none."""
        charges = self.charges("to date" if month == Month.of(self.today) else "tag")
        return sum_by(charges, month).get(name, Decimal(0))

    @property
    def to_date(self) -> Decimal:
        return sum((one.unblended for one in self.charges("to date")), Decimal(0))

    def require_known(self) -> None:
        """
        Raises:
            VerificationFailed: what the month cost could not be seen, so this is not a review of it.
        """
        if "usage" not in self.answers:
            raise VerificationFailed(
                f"what {self.month} cost is unknown, expected it by service. {' '.join(self.gaps)}"
                " The rest of this report holds"
            )


def choose_month(asked: str | None, today: date) -> Month:
    """
    Raises:
        PreconditionFailed: the month is not over, or longer ago than Cost Explorer tells.
    """
    last = Month.of(today).after(-1)
    month = Month.read(asked) if asked else last
    if not last.after(2 - MONTHS_TOLD) <= month <= last:
        raise PreconditionFailed(
            f"{month} was asked for, expected a month that is over: {last.after(2 - MONTHS_TOLD)} to {last}"
        )
    return month


def questions(month: Month, today: date, by_day: tuple[str, ...]) -> Iterator[tuple[str, Question]]:
    """Always these after the one by usage type, however many services and tags; each page of an answer is a request."""
    current, before = Month.of(today), month.after(-1)
    oldest = max(month.after(1 - MONTHS_SHOWN), current.after(-MONTHS_TOLD))
    yield "history", Question(oldest.first, month.end, ("SERVICE", "RECORD_TYPE"))
    yield "tag", Question(before.first, month.end, (f"tag:{TAG}", f"tag:{PROJECT_TAG}"))
    first_day = max(month.end - timedelta(days=cost_anomalies.DAYS_ASKED), oldest.first)
    yield "daily", Question(first_day, month.end, ("SERVICE",), "DAILY", by_day)
    yield "to date", Question(current.first, today + timedelta(days=1), (f"tag:{TAG}",))


def usage_question(month: Month) -> Question:
    return Question(month.after(-1).first, month.end, ("SERVICE", "USAGE_TYPE"))


def ask(bucket: str, month: Month, today: date) -> Spending:
    """As much as can be had. Where Cost Explorer is closed to us, one question is enough to know."""
    found = Spending(month, today)
    if _is_closed(found, bucket, "usage", usage_question(month)):
        return found
    found.by_day = dearest(found.charges("usage"))
    is_closed = any(_is_closed(found, bucket, *one) for one in questions(month, today, found.by_day))
    _compare(found)
    if not is_closed:
        _look_at_days(found)
        _look_ahead(found)
    return found


def _is_closed(found: Spending, bucket: str, name: str, question: Question) -> bool:
    """Asks one question, and whether there is no sense in asking more."""
    answer = _attempt(found, lambda: get_cost_and_usage(bucket, question))
    if isinstance(answer, Answer):
        found.answers[name] = answer
        found.requests += answer.requests
    return isinstance(answer, CostExplorerClosed)


def dearest(charges: Iterable[Charge]) -> tuple[str, ...]:
    """Of which services the days are looked at; none named where there are few, or it is not known: then all."""
    sums: dict[str, Decimal] = {}
    for one in charges:
        sums[one.keys[0]] = sums.get(one.keys[0], Decimal(0)) + abs(one.unblended)
    if len(sums) <= SERVICES_BY_DAY:
        return ()
    return tuple(sorted(sorted(sums, key=lambda name: sums[name], reverse=True)[:SERVICES_BY_DAY]))


def _attempt(found: Spending, question: Callable[[], R]) -> R | CostUnavailable | None:
    """The answer; else the reason is among the gaps."""
    try:
        return question()
    except CostUnavailable as unavailable:
        found.gaps.append(f"{unavailable}.")
        return unavailable
    except (BotoCoreError, ClientError) as blind:
        found.gaps.append(f"Cost Explorer could not be asked: {blind}.")
        return None


def _compare(found: Spending) -> None:
    if "usage" not in found.answers:
        return
    month, charges = found.month, found.charges("usage")
    found.comparison = compare(charges, month)
    others = {"service and kind": "history", "tag": "tag"}
    require_sums(found.comparison, {name: found.charges(key) for name, key in others.items() if key in found.answers})
    if not any(one.day == month.first for one in charges):
        found.gaps.append(f"{month}: nothing was billed. Expected costs; look whether this is the right account.")
    elif not any(one.day < month.first for one in charges):
        found.gaps.append(f"{month} is the first month with costs: all of them are new, and nothing is compared.")
    if not found.answers["usage"].final:
        found.gaps.append(f"{month} is not closed yet: AWS still estimates it. Run the review again after its bill.")
    if "tag" in found.answers and not any(one.keys[0] for one in found.charges("tag")):
        found.gaps.append(
            f"no cost carries the tag {TAG}, so nothing is known by environment. Activate it as a cost allocation tag"
            " in Billing and Cost Management; AWS applies it to what comes after."
        )


def _look_at_days(found: Spending) -> None:
    asked = _attempt(found, lambda: cost_anomalies.get_anomalies(found.month))
    if isinstance(asked, tuple):
        found.requests += asked[1]
        if asked[0] is not None:
            found.anomalies = asked[0]
            return
    found.anomalies = cost_anomalies.find_anomalies(found.charges("daily"), found.month)


def _look_ahead(found: Spending) -> None:
    current, today = Month.of(found.today), found.today
    months = (current, current.after(1))
    known = {current: found.to_date}
    days = _attempt(found, lambda: cost_forecast.get_cost_forecast(today, months[1].end))
    if isinstance(days, tuple):
        found.requests += 1
        ahead = [cost_forecast.add_up(days, month, known.get(month, Decimal(0))) for month in months]
        found.forecasts = tuple(ahead)
        return
    wanted = [(month, known.get(month, Decimal(0)), cost_forecast.days_left(month, today)) for month in months]
    found.forecasts = cost_forecast.extrapolate([*found.charges("daily"), *_others_by_day(found)], wanted)


def _others_by_day(found: Spending) -> Iterator[Charge]:
    """Of services that were not asked for by day: what they cost in the month, the same each day."""
    if not found.by_day:
        return
    rest = [one for one in found.charges("usage") if found.month.holds(one.day) and one.keys[0] not in found.by_day]
    a_day = sum((one.unblended for one in rest), Decimal(0)) / found.month.days
    for number in range(found.month.days):
        day = found.month.first + timedelta(days=number)
        yield Charge(day, ("others",), a_day, a_day, Decimal(0), "N/A")


def history(found: Spending) -> Mapping[Month, dict[str, Decimal]]:
    """Exact unblended costs by month and service, the oldest first."""
    charges = found.charges("history")
    months = sorted({Month.of(one.day) for one in charges})
    return {month: sum_by(charges, month) for month in months}
