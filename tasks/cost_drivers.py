"""Why a month cost more or less than the one before: exact sums, and every cent of the change has a name."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tasks.cents import dollars, to_cent, to_cents
from tasks.cost_explorer import Charge
from tasks.errors import VerificationFailed
from tasks.month import Month

TOLERANCE = Decimal("0.006")  # half a cent of our own rounding, and Cost Explorer's of each group to ten places
SAME_RATE = Decimal("0.01")  # a price per unit that moved less than this share is the same
Cell = tuple[str, str]


@dataclass(frozen=True)
class Driver:
    """What one usage type of a service added to the change, in cents."""

    service: str
    usage_type: str
    before: Decimal
    after: Decimal
    why: str

    @property
    def change(self) -> Decimal:
        return self.after - self.before


@dataclass(frozen=True)
class Comparison:
    """A month beside the one before it. The drivers are all of both months, the largest change first.

    `amortized`: the later month by service, with what was paid up front spread over its time.
    """

    before: Month
    after: Month
    drivers: tuple[Driver, ...]
    amortized: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def total_before(self) -> Decimal:
        return sum((one.before for one in self.drivers), Decimal(0))

    @property
    def total_after(self) -> Decimal:
        return sum((one.after for one in self.drivers), Decimal(0))

    @property
    def change(self) -> Decimal:
        return self.total_after - self.total_before

    def by_service(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Before and after, the most expensive first."""
        sums: dict[str, tuple[Decimal, Decimal]] = {}
        for one in self.drivers:
            before, after = sums.get(one.service, (Decimal(0), Decimal(0)))
            sums[one.service] = (before + one.before, after + one.after)
        return dict(sorted(sums.items(), key=lambda item: item[1][1], reverse=True))

    def largest(self, count: int) -> tuple[Driver, ...]:
        """The largest changes, and one line for the sum of all others."""
        top, rest = self.drivers[:count], self.drivers[count:]
        if not rest:
            return top
        before, after = (sum(amounts, Decimal(0)) for amounts in zip(*((r.before, r.after) for r in rest), strict=True))
        return (*top, Driver("everything else", f"{len(rest)} usage types", before, after, ""))


def compare(charges: Iterable[Charge], after: Month) -> Comparison:
    """From charges by service and usage type of `after` and of the month before it."""
    before, charges = after.after(-1), tuple(charges)
    old, new = ({one.keys: one for one in charges if one.day == month.first} for month in (before, after))
    shown = [_in_cents(cells) for cells in (old, new)]
    drivers = []
    for cell in sorted({*old, *new}):
        amounts = [month.get(cell, Decimal(0)) for month in shown]
        why = _why(old.get(cell), new.get(cell), after.days - before.days)
        drivers.append(Driver(cell[0], cell[1], amounts[0], amounts[1], why))
    drivers.sort(key=lambda one: abs(one.change), reverse=True)
    return Comparison(before, after, tuple(drivers), _amortized(new.values()))


def require_sums(comparison: Comparison, others: Mapping[str, Sequence[Charge]]) -> None:
    """The same month asked for in other groups is the same money.

    Raises:
        VerificationFailed: the report would not add up.
    """
    for name, charges in others.items():
        sums = sum_by_day(charges)
        for month, total in ((comparison.before, comparison.total_before), (comparison.after, comparison.total_after)):
            seen = sums.get(month, Decimal(0))
            if abs(seen - total) > TOLERANCE:
                raise VerificationFailed(
                    f"{month} is ${dollars(total)} by usage type and ${seen} by {name}, expected the same to the cent."
                    " Don't act on this report: run it again, and if it stays so compare both with the bill"
                )


def sum_by_day(charges: Iterable[Charge]) -> dict[Month, Decimal]:
    sums: dict[Month, Decimal] = defaultdict(Decimal)
    for one in charges:
        sums[Month.of(one.day)] += one.unblended
    return dict(sums)


def sum_by(charges: Iterable[Charge], month: Month, key: int = 0) -> dict[str, Decimal]:
    """A month's exact sums by one of the keys of its charges."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for one in charges:
        if month.holds(one.day):
            sums[one.keys[key]] += one.unblended
    return dict(sums)


def _in_cents(cells: Mapping[tuple[str, ...], Charge]) -> dict[tuple[str, ...], Decimal]:
    """Services add up to the month, and usage types to their service."""
    services: dict[str, dict[tuple[str, ...], Decimal]] = defaultdict(dict)
    for cell, charge in cells.items():
        services[cell[0]][cell] = charge.unblended
    totals = to_cents({name: sum(amounts.values(), Decimal(0)) for name, amounts in services.items()})
    shown: dict[tuple[str, ...], Decimal] = {}
    for name, amounts in services.items():
        shown |= to_cents(amounts, totals[name])
    return shown


def _amortized(charges: Iterable[Charge]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for one in charges:
        sums[one.keys[0]] += one.amortized
    return to_cents(sums)


def _why(old: Charge | None, new: Charge | None, days: int) -> str:
    """New, ended, or how much more was used and whether its price per unit moved.

    Args:
        days: how many more the later month has.
    """
    if old is None or new is None:
        return "new" if new else "ended"
    if not old.quantity or not new.quantity:
        return ""
    words = []
    if days and _is_length(old, new):
        words.append(f"the month is {abs(days)} day{'s' * (abs(days) > 1)} {'longer' if days > 0 else 'shorter'}")
    elif old.quantity != new.quantity:
        words.append(f"{to_cent(new.quantity - old.quantity):+,} {new.unit} ({new.quantity / old.quantity - 1:+.0%})")
    rates = old.unblended / old.quantity, new.unblended / new.quantity
    if rates[0] and abs(rates[1] / rates[0] - 1) > SAME_RATE:
        words.append(f"price per unit {rates[1] / rates[0] - 1:+.0%}")
    return ", ".join(words)


def _is_length(old: Charge, new: Charge) -> bool:
    """As much was used each day."""
    before, after = (Month.of(one.day).days for one in (old, new))
    return abs(new.quantity / after / (old.quantity / before) - 1) <= SAME_RATE
