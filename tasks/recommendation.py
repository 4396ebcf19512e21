"""One thing that would cost less, with the money, how sure we are, the effort, the risk and the exact change."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from tasks.cents import dollars, to_cent

Level = Literal["low", "medium", "high"]
TAG = "Environment"
OLD = timedelta(days=90)  # a snapshot that nothing refers to


@dataclass(frozen=True)
class Recommendation:
    """`saving`: dollars a month at list price, None where a price is unknown.

    `usages`: where the bill will show it: what falls, and what rises instead.
    """

    kind: str
    resource: str
    saving: Decimal | None
    confidence: Level
    effort: Level
    risk: str
    change: str
    seen: str
    usages: tuple[str, ...]

    @property
    def id(self) -> str:
        """The same thing has the same id in every review."""
        return hashlib.sha256(f"{self.kind} {self.resource}".encode()).hexdigest()[:10]

    @property
    def money(self) -> str:
        return "price unknown" if self.saving is None else f"${dollars(self.saving)}"

    def __str__(self) -> str:
        return f"{self.kind} {self.resource}: {self.money} a month"


def times(amount: Decimal | int, price: Decimal | None) -> Decimal | None:
    """Dollars a month; an unknown price stays unknown."""
    return None if price is None else to_cent(amount * price)


def total(*parts: Decimal | None) -> Decimal | None:
    """A sum with an unknown part is unknown."""
    return None if None in parts else to_cent(sum((one for one in parts if one is not None), Decimal(0)))


def difference(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    return None if now is None or then is None else to_cent(now - then)


def is_worth_it(saving: Decimal | None) -> bool:
    """What would cost the same or more is no recommendation; what is unknown is still one."""
    return saving is None or saving > 0


def by_money(found: Iterable[Recommendation]) -> tuple[Recommendation, ...]:
    """The most money first, unknown amounts last."""
    return tuple(sorted(found, key=lambda one: (one.saving is None, -(one.saving or 0), one.kind, one.resource)))


def is_ours(tags: Mapping[str, str], environment: str) -> bool:
    """Another environment's things are its own review's; what carries no tag is everybody's."""
    return tags.get(TAG, environment) == environment
