"""What an account has spent, day by day: the series from which the lab's Cost Explorer answers.

Money is counted in whole 10^-10 dollars, the smallest that Cost Explorer shows: a sum of such numbers is exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

PLACES = 10
MONEY = ("UnblendedCost", "AmortizedCost")
# Nobody shares a bill and nothing is discounted here: these are the same as the ones that a history tells.
ALIKE = {"BlendedCost": "UnblendedCost", "NetUnblendedCost": "UnblendedCost", "NetAmortizedCost": "AmortizedCost"}
QUANTITY = "UsageQuantity"
METRICS = (*MONEY, *ALIKE, QUANTITY)


@dataclass(frozen=True)
class Series:
    """One kind of charge: an amount for each day from `first` on."""

    first: date
    amounts: Mapping[str, tuple[int, ...]]
    dimensions: Mapping[str, str]
    tags: Mapping[str, str]
    unit: str
    currency: str

    @property
    def days(self) -> int:
        return len(self.amounts["UnblendedCost"])

    def between(self, metric: str, start: date, end: date) -> int | None:
        """The sum from `start` to the day before `end`, or None when the series has nothing there."""
        begin, stop = max((start - self.first).days, 0), min((end - self.first).days, self.days)
        return sum(self.amounts[ALIKE.get(metric, metric)][begin:stop]) if begin < stop else None

    def unit_of(self, metric: str) -> str:
        return self.unit if metric == QUANTITY else self.currency


@dataclass
class CostHistory:
    """`final_until`: from that day on, what is told is an estimate; by default from the first of this month on.

    `page_groups`: how many groups a page holds; AWS tells no number.
    """

    enabled: bool = True
    series: list[Series] = field(default_factory=list)
    active_tags: tuple[str, ...] = ("Environment", "Project")
    final_until: date = field(default_factory=lambda: datetime.now(UTC).date().replace(day=1))
    monitors: list[dict[str, Any]] = field(default_factory=list)
    anomalies: list[dict[str, Any]] = field(default_factory=list)
    page_groups: int = 5_000

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "CostHistory":
        """
        Raises:
            ValueError, KeyError, TypeError: it is no history.
        """
        given = {name: told[name] for name in ("enabled", "monitors", "anomalies", "page_groups") if name in told}
        if "final_until" in told:
            given["final_until"] = date.fromisoformat(told["final_until"])
        if "active_tags" in told:
            given["active_tags"] = tuple(told["active_tags"])
        return cls(series=[_read_series(one) for one in told.get("series", ())], **given)

    @property
    def first_day(self) -> date | None:
        return min((one.first for one in self.series), default=None)

    def tag(self, one: Series, key: str) -> str:
        """Only tags that were activated for cost allocation are known to billing."""
        return one.tags.get(key, "") if key in self.active_tags else ""


def tomorrow() -> date:
    return datetime.now(UTC).date() + timedelta(days=1)


def show(amount: int) -> str:
    """As Cost Explorer writes an amount: a decimal number, as long as it has to be."""
    return f"{Decimal(amount).scaleb(-PLACES):f}".rstrip("0").rstrip(".") if amount else "0"


def _read_series(told: Mapping[str, Any]) -> Series:
    unblended = _amounts(told["unblended"])
    amounts = {
        "UnblendedCost": unblended,
        "AmortizedCost": _amounts(told["amortized"]) if "amortized" in told else unblended,
        QUANTITY: _amounts(told["quantity"]) if "quantity" in told else (0,) * len(unblended),
    }
    if len({len(one) for one in amounts.values()}) != 1:
        raise ValueError("the amounts of a series must be of equally many days")
    dimensions = {
        "SERVICE": told["service"],
        "USAGE_TYPE": told["usage_type"],
        "RECORD_TYPE": told.get("record_type", "Usage"),
        "REGION": told.get("region", "eu-north-1"),
        "LINKED_ACCOUNT": told.get("account", "123456789012"),
    }
    first = date.fromisoformat(told["first"])
    unit, currency = told.get("unit", "N/A"), told.get("currency", "USD")
    return Series(first, amounts, dimensions, dict(told.get("tags", {})), unit, currency)


def _amounts(told: Any) -> tuple[int, ...]:
    """A list of decimal texts, or `[text, days]` pairs where days are alike."""
    found: list[int] = []
    for one in told:
        text, times = one if isinstance(one, list) else (one, 1)
        scaled = Decimal(text).scaleb(PLACES)
        if scaled != int(scaled):
            raise ValueError(f"{text} has more than {PLACES} places")
        found.extend([int(scaled)] * times)
    return tuple(found)
