"""What became of each recommendation: found, accepted by a person, done, and what it really saved."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from tasks import aws, s3
from tasks.cents import to_cent
from tasks.cost_explorer import Charge
from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe
from tasks.month import Month
from tasks.recommendation import Recommendation

BELOW = "cost/ledger/"


@dataclass(frozen=True)
class Entry:
    """Money as text, days as ISO dates. `expected` is what was promised when it was accepted; done is what a later
    review finds no more reason for, and open again when it does."""

    id: str
    kind: str
    resource: str
    usages: tuple[str, ...]
    environment: str
    expected: str | None
    found_on: str
    accepted_on: str | None = None
    accepted_by: str = ""
    done_on: str | None = None
    measured: str | None = None

    @property
    def state(self) -> str:
        if self.measured is not None:
            return "measured"
        return "done" if self.done_on else "accepted" if self.accepted_on else "found"

    @property
    def error(self) -> Decimal | None:
        """By which share the saving missed what was promised."""
        if self.measured is None or not Decimal(self.expected or 0):
            return None
        return Decimal(self.measured) / Decimal(self.expected or 0) - 1

    @property
    def is_open(self) -> bool:
        return self.state in ("found", "accepted")


@probe
def read_ledger(bucket: str) -> tuple[Entry, ...]:
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=BELOW)
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    bodies = (s3.find_object(bucket, key) for key in keys)
    return tuple(_read(json.loads(body)) for body in bodies if body)


def _read(told: dict[str, Any]) -> Entry:
    return Entry(**{**told, "usages": tuple(told["usages"])})


@action
def write_ledger(bucket: str, entries: tuple[Entry, ...]) -> None:
    """Each by itself: two runs that write different ones don't undo each other."""
    for one in entries:
        body = json.dumps(asdict(one), indent=1)
        aws.client("s3").put_object(
            Bucket=bucket, Key=f"{BELOW}{one.id}.json", Body=body, ContentType="application/json"
        )


def plan_entries(
    known: Iterable[Entry], found: Iterable[Recommendation], environment: str, today: date, *, saw_all: bool = True
) -> tuple[Entry, ...]:
    """The ledger after a look at the account: what is found stands in it, what is accepted and gone is done.

    An accepted promise is kept as it was made; one that nobody accepted follows today's prices. What is not found is
    only gone when all was seen.
    """
    entries = {one.id: one for one in known}
    seen = {one.id: one for one in found}
    for one in seen.values():
        saving = None if one.saving is None else str(one.saving)
        before = entries.get(one.id)
        if before is None:
            new = Entry(one.id, one.kind, one.resource, one.usages, environment, saving, today.isoformat())
            entries[one.id] = new
        elif before.state == "found":
            entries[one.id] = replace(before, expected=saving)
        elif not before.is_open:
            entries[one.id] = replace(before, done_on=None, measured=None)
    return tuple(
        replace(one, done_on=today.isoformat()) if saw_all and one.state == "accepted" and one.id not in seen else one
        for one in entries.values()
    )


def due(entries: Iterable[Entry], month: Month) -> dict[Month, tuple[Entry, ...]]:
    """What can be measured in a closed month: it was done in an earlier one. By the month in which it was done."""
    waiting: dict[Month, tuple[Entry, ...]] = {}
    for one in entries:
        if one.state == "done" and one.done_on and (of := Month.of(date.fromisoformat(one.done_on))) < month:
            waiting[of] = (*waiting.get(of, ()), one)
    return waiting


def measure(
    entries: Iterable[Entry], before: tuple[Month, Iterable[Charge]], after: tuple[Month, Iterable[Charge]]
) -> tuple[Entry, ...]:
    """The cost per day of what an entry moves in the whole months on both sides, times the days of the later one.

    Entries that move the same usage type share what all of their usage types saved, in proportion to what they
    promised; equally, where one promised no money because its price was unknown.
    """
    old, new = _per_day(*before), _per_day(*after)
    measured = []
    for usages, sharing in _groups(entries):
        saved = sum((old.get(one, Decimal(0)) - new.get(one, Decimal(0)) for one in usages), Decimal(0)) * after[0].days
        for one, share in zip(sharing, _shares(sharing), strict=True):
            measured.append(replace(one, measured=str(to_cent(saved * share))))
    return tuple(measured)


def _groups(entries: Iterable[Entry]) -> list[tuple[set[str], list[Entry]]]:
    """Entries that have a usage type in common, directly or through others, with all of their usage types."""
    groups: list[tuple[set[str], list[Entry]]] = []
    for one in entries:
        alike = [group for group in groups if group[0] & set(one.usages)]
        usages = set(one.usages).union(*(group[0] for group in alike))
        members = [each for group in alike for each in group[1]]
        groups = [group for group in groups if group not in alike] + [(usages, [*members, one])]
    return groups


def _shares(entries: Sequence[Entry]) -> list[Decimal]:
    promised = [Decimal(one.expected or 0) for one in entries]
    if not all(promised):
        return [Decimal(1) / len(entries)] * len(entries)
    return [one / sum(promised) for one in promised]


def _per_day(month: Month, charges: Iterable[Charge]) -> Mapping[str, Decimal]:
    """By usage type, and by `usage type@service`."""
    sums: dict[str, Decimal] = {}
    for one in charges:
        if month.holds(one.day):
            for name in (one.keys[1], f"{one.keys[1]}@{one.keys[0]}"):
                sums[name] = sums.get(name, Decimal(0)) + one.unblended / month.days
    return sums


def accept(entries: Iterable[Entry], wanted: str, by: str, today: date) -> Entry:
    """
    Raises:
        PreconditionFailed: there is no such recommendation, or it is done. Nothing was changed.
    """
    known = {one.id: one for one in entries}
    found = known.get(wanted)
    if found is None or not found.is_open:
        seen = "unknown" if found is None else found.state
        choice = ", ".join(one.id for one in known.values() if one.is_open) or "none"
        raise PreconditionFailed(
            f"recommendation {wanted} is {seen}, expected one that is open: {choice}. Nothing was changed."
        )
    if found.accepted_on:
        return found
    return replace(found, accepted_on=today.isoformat(), accepted_by=by)
