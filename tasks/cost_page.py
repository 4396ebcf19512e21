"""The one page of a cost review, as lines of Markdown: what was spent, why it changed, what comes next, what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tasks import advice
from tasks.advice import Advice
from tasks.cents import dollars, to_cent, to_cents
from tasks.cost_drivers import Comparison, sum_by
from tasks.cost_events import Event, beside, by_kind
from tasks.cost_forecast import LEVEL_PERCENT
from tasks.cost_ledger import Entry
from tasks.month import Month
from tasks.recommendation import Recommendation
from tasks.recommendations import sum_savings
from tasks.spending import Spending, history

DRIVERS_SHOWN = 12
BAR_CHARACTERS = 30
NOTHING = Decimal(0)


@dataclass(frozen=True)
class Review:
    environment: str
    spending: Spending
    events: Sequence[Event]
    recommendations: Sequence[Recommendation]
    advice: tuple[Advice, ...]
    ledger: Sequence[Entry]
    notes: Sequence[str]
    budget: Decimal | None


def lines(review: Review) -> Iterator[str]:
    found = review.spending
    for note in (*found.gaps, *review.notes):
        yield f"**to know**: {note}"
    if found.comparison:
        yield summary(review)
        yield from _by_service(found.comparison, review.events)
        yield from _drivers(found.comparison, review.events)
    yield from _ahead(review)
    yield from _recommendations(review)
    yield from advice.table(review.advice)
    yield from _ledger(review.ledger)
    yield from _anomalies(found)
    yield from _events(review.events)
    if found.comparison:
        yield from _by_kind(found)
        yield from _by_tag(found, "environment", 0)
        yield from _by_tag(found, "project", 1)
        yield from _months(found)
    yield f"asking Cost Explorer took {found.requests} paid requests: ${found.paid}"


def summary(review: Review) -> str:
    """The sentence that goes to the channel."""
    seen, saving = review.spending.comparison, sum_savings(review.recommendations)
    advice = f"{len(review.recommendations)} recommendations, ${dollars(saving)} a month at known prices"
    if seen is None:
        return f"{review.spending.month}: the costs are unknown; {advice}"
    share = f" ({seen.change / seen.total_before:+.0%})" if seen.total_before else ""
    top = next((one for one in seen.drivers if one.change), None)
    why = f", most by {top.service} {top.usage_type}: {_signed(top.change)}" if top else ""
    return (
        f"{seen.after}: {review.spending.currency} {dollars(seen.total_after)}, {_signed(seen.change)}{share} against"
        f" {seen.before}{why}; {advice}"
    )


def headline(review: Review) -> Iterator[tuple[str, str]]:
    """The few numbers that a person looks for first."""
    found = review.spending
    if seen := found.comparison:
        yield str(seen.after), dollars(seen.total_after)
        yield f"against {seen.before}", _signed(seen.change)
    for one in found.forecasts[:1]:
        yield f"{one.month} will cost", f"{dollars(one.low)} to {dollars(one.high)}"
    yield "to be saved a month", dollars(sum_savings(review.recommendations))
    measured = [Decimal(one.measured) for one in review.ledger if one.measured is not None]
    if measured:
        yield "saved a month, as measured", dollars(sum(measured, NOTHING))


def _by_service(seen: Comparison, events: Sequence[Event]) -> Iterator[str]:
    yield "what each service cost, and what we did to it"  # a line between two tables keeps them two
    yield f"| service | {seen.before} | {seen.after} | change | amortized | what we did |"
    yield "|---|--:|--:|--:|--:|---|"
    for name, (before, after) in seen.by_service().items():
        did = beside((one.usage_type for one in seen.drivers if one.service == name), events)
        yield f"| {name} | {_row(before, after)} | {dollars(seen.amortized.get(name, NOTHING))} | {did} |"
    amortized = sum(seen.amortized.values(), NOTHING)
    yield f"| **total** | {_row(seen.total_before, seen.total_after)} | {dollars(amortized)} | |"
    yield "amortized: what was paid up front is spread over its months"


def _drivers(seen: Comparison, events: Sequence[Event]) -> Iterator[str]:
    changed = [one for one in seen.largest(DRIVERS_SHOWN) if one.before or one.after]
    yield "why it changed"
    yield "| driver | usage type | before | after | change | why | what we did |"
    yield "|---|---|--:|--:|--:|---|---|"
    for one in changed:
        row = _row(one.before, one.after)
        yield f"| {one.service} | {one.usage_type} | {row} | {one.why} | {beside([one.usage_type], events)} |"
    yield f"| **total** | | {_row(seen.total_before, seen.total_after)} | | |"


def _by_kind(found: Spending) -> Iterator[str]:
    """Usage, credits, refunds, tax."""
    charges = found.charges("history")
    before, after = (to_cents(sum_by(charges, month, 1)) for month in (found.month.after(-1), found.month))
    if not after and not before:
        return
    yield "by kind of charge"
    yield "| kind of charge | before | after | change |"
    yield "|---|--:|--:|--:|"
    for kind in sorted({*before, *after}):
        yield f"| {kind} | {_row(before.get(kind, NOTHING), after.get(kind, NOTHING))} |"


def _by_tag(found: Spending, title: str, key: int) -> Iterator[str]:
    charges = found.charges("tag")
    before, after = (to_cents(sum_by(charges, month, key)) for month in (found.month.after(-1), found.month))
    if not {*before, *after} - {""}:
        return
    yield f"by {title}"
    yield f"| {title} | before | after | change |"
    yield "|---|--:|--:|--:|"
    for name in sorted({*before, *after}, key=lambda name: after.get(name, NOTHING), reverse=True):
        yield f"| {name or 'not tagged'} | {_row(before.get(name, NOTHING), after.get(name, NOTHING))} |"


def _months(found: Spending) -> Iterator[str]:
    totals = {month: to_cent(sum(services.values(), NOTHING)) for month, services in history(found).items()}
    highest = max(totals.values(), default=NOTHING)
    if highest <= 0:
        return
    yield "month by month"
    yield "| month | costs |"
    yield "|---|---|"
    for month, total in totals.items():
        yield f"| {month} | {'█' * max(round(BAR_CHARACTERS * total / highest), 0)} {dollars(total)} |"


def _ahead(review: Review) -> Iterator[str]:
    found = review.spending
    for one in found.forecasts:
        yield (
            f"{one.month} will cost {dollars(one.mean)}, at {LEVEL_PERCENT} % within {dollars(one.low)} to"
            f" {dollars(one.high)} ({one.method})"
        )
    if "to date" not in found.answers:
        return
    current = Month.of(found.today)
    yield f"{current} cost {dollars(to_cent(found.to_date))} until today, as far as AWS has told"
    if review.budget is None:
        yield f"{review.environment} has no budget: give the run one, as `budget`"
        return
    spent = to_cent(found.environment(current, review.environment))
    passed = Decimal(found.today.day) / current.days
    yield (
        f"{review.environment} spent {dollars(spent)} of its budget of {dollars(review.budget)}:"
        f" {spent / review.budget:.0%} of the money in {passed:.0%} of the month, a burn rate of"
        f" {spent / review.budget / passed:.2f} (1 spends exactly the budget)"
    )


def _anomalies(found: Spending) -> Iterator[str]:
    if found.by_day:
        yield f"only the days of the {len(found.by_day)} dearest services were looked at: each page told is paid for"
    if not found.anomalies:
        if "daily" in found.answers:
            yield "no day cost other than its like"
        return
    yield "days that cost other than their like"
    yield "| anomaly | days | against expected | by |"
    yield "|---|---|--:|---|"
    for one in found.anomalies:
        yield f"| {one.service} | {one.first} to {one.last} | {_signed(one.impact)} | {one.method} |"


def _events(events: Sequence[Event]) -> Iterator[str]:
    if not events:
        return
    yield "what our own runs cost, by kind"
    yield "| what we did | times | cost | cost unknown |"
    yield "|---|--:|--:|--:|"
    for kind, (number, cost, unknown) in by_kind(events).items():
        yield f"| {kind} | {number} | {dollars(cost) if number > unknown else ''} | {unknown or ''} |"
    yield "and each of them"
    yield "| our own run | what | cost | from |"
    yield "|---|---|--:|---|"
    for one in events:
        yield f"| {one.at:%Y-%m-%d %H:%M} | {one.what} | {one.price} | {one.basis} |"


def _recommendations(review: Review) -> Iterator[str]:
    if not review.recommendations:
        yield "nothing to recommend: no waste was found"
        return
    yield "what to do about it"
    yield "| id | recommendation | saves a month | confidence | effort | seen, and the risk | change |"
    yield "|---|---|--:|---|---|---|---|"
    for one in review.recommendations:
        change = "<br>".join(f"`{line}`" for line in one.change.splitlines() if line)
        yield (
            f"| {one.id} | {one.kind}: {one.resource} | {one.money} | {one.confidence} | {one.effort} | {one.seen}."
            f" Risk: {one.risk} | {change} |"
        )
    together = dollars(sum_savings(review.recommendations))
    yield f"together at most ${together} a month: of several for one thing, the best"


def _ledger(ledger: Sequence[Entry]) -> Iterator[str]:
    told = [one for one in ledger if one.state != "found"]
    if not told:
        return
    yield "what became of it"
    yield "| ledger | promised a month | state | measured | error |"
    yield "|---|--:|---|--:|--:|"
    for one in told:
        error = "" if one.error is None else f"{one.error:+.0%}"
        promised = "unknown" if one.expected is None else dollars(Decimal(one.expected))
        measured = "" if one.measured is None else dollars(Decimal(one.measured))
        yield f"| {one.kind}: {one.resource} | {promised} | {one.state} | {measured} | {error} |"


def _row(before: Decimal, after: Decimal) -> str:
    return f"{dollars(before)} | {dollars(after)} | {_signed(after - before)}"


def _signed(amount: Decimal) -> str:
    return f"{amount:+,.2f}"
