"""What AWS itself advises: its words, and from which of its services they come."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from tasks.cents import dollars


@dataclass(frozen=True)
class Advice:
    """In AWS's words. It may repeat a recommendation of ours: their savings are never added."""

    resource: str
    action: str
    then: str
    saving: Decimal
    currency: str
    effort: str
    source: str


def merge(*told: Iterable[Advice]) -> tuple[Advice, ...]:
    """Each resource and action once, as the first who told of it has it; the most money first."""
    found: dict[tuple[str, str], Advice] = {}
    for one in (one for each in told for one in each):
        found.setdefault((one.resource.rpartition("/")[2], one.then), one)
    return tuple(sorted(found.values(), key=lambda one: one.saving, reverse=True))


def table(found: Iterable[Advice]) -> Iterator[str]:
    rows = list(found)
    if not rows:
        return
    yield "what AWS itself advises"
    yield "| AWS's advice | resource | to | saves a month | effort | from |"
    yield "|---|---|---|--:|---|---|"
    for one in rows:
        money = f"{dollars(one.saving)} {one.currency}"
        yield f"| {one.action} | {one.resource} | {one.then} | {money} | {one.effort} | {one.source} |"
