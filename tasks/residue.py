"""What a run makes for a while: marked by the call that creates it, found again by anyone, removed only when marked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from tasks import change_lock
from tasks.environment import PROJECT, EnvironmentName, read_outputs
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.finding import judge
from tasks.kinds import action, probe
from tasks.report import say
from tasks.residue_kinds import EXPIRES_AT, FLOW, KINDS, MARKS, RUN_ID, Thing
from tasks.waiting import wait_until

GONE_SECONDS = 1800
ENVIRONMENT = "Environment"  # as Terraform's default_tags call it
# Its snapshots outlive their run on purpose, until they expire. RDS gives an instance that is restored from one,
# perhaps as the new production, the snapshot's tags when it is given none: such an instance is no copy of ours.
SNAPSHOT_FLOW = "snapshot-database"
NEVER_SAID = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Residue:
    """`guard`: why it must not be removed although it is marked, and what to do about it."""

    kind: str
    id: str
    run_id: str
    flow: str
    expires_at: datetime
    created: datetime | None
    guard: str = ""

    @property
    def is_kept(self) -> bool:
        """What outlives its run on purpose, until it expires."""
        return self.kind == "alarm mute rule" or (self.kind == "RDS snapshot" and self.flow == SNAPSHOT_FLOW)

    def __str__(self) -> str:
        return f"{self.kind} {self.id} of {self.flow} (run {self.run_id})"


def tags(flow: str, expires_at: datetime, environment: str | None = None) -> dict[str, str]:
    """The marks of a temporary thing of this run, for the call that creates it."""
    if expires_at.tzinfo is None:
        raise ValueError(f"expires_at is {expires_at.isoformat()}, expected a time with its zone")
    marks = {
        RUN_ID: change_lock.run_id(),
        FLOW: flow.replace("_", "-"),
        EXPIRES_AT: f"{expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return {**marks, ENVIRONMENT: environment} if environment else marks


def as_list(marks: Mapping[str, str]) -> list[Any]:
    """As RDS and Secrets Manager take tags."""
    return [{"Key": key, "Value": value} for key, value in marks.items()]


def as_specifications(marks: Mapping[str, str], *resource_types: str) -> list[Any]:
    """As EC2 takes tags: for the instance, and for what comes with it."""
    return [{"ResourceType": one, "Tags": as_list(marks)} for one in resource_types]


@probe
def find_residue(environment: str | None = None) -> tuple[Residue, ...]:
    """Every marked thing of this environment, or of all; one that does not say whose it is belongs to each.

    A thing that carries only some of the marks is among them, with a guard.
    """
    own = _own_names()
    marked = [
        thing
        for kind in KINDS.values()
        for thing in kind.find(None)
        if set(MARKS) & set(thing.tags) and environment in (None, _environment_of(thing) or environment)
    ]
    return tuple(_residue(thing, own) for thing in marked)


@probe
def find_own(environment: str) -> tuple[Residue, ...]:
    """What this run has made and not yet removed."""
    return tuple(one for one in find_residue.fn(environment) if one.run_id == change_lock.run_id())


def require_none(found: Sequence[Residue]) -> None:
    """
    Raises:
        VerificationFailed: something stays; it is named.
    """
    if found:
        raise VerificationFailed(
            f"residue: {len(found)}, expected 0: {', '.join(map(str, found))}. What AWS answered is in the report; when"
            " that is mended, sweep_residue removes the rest"
        )


@action
def begin_removal(one: Residue) -> bool:
    """Ask AWS to remove it; False when it would not, and the report says why. `wait_until_gone` waits."""
    outcome = judge(str(one), lambda: _request_removal(one))
    say(f"{one}: {outcome.observed}")
    return outcome.verdict == "ok"


@probe
def wait_until_gone(things: Sequence[Residue]) -> None:
    _wait_until_gone(things)


@action
def remove(one: Residue) -> None:
    """Remove it and wait until it is gone; what is gone already is fine.

    Raises:
        PreconditionFailed: it is not marked as temporary, protected, or an environment's own. It was not touched.
    """
    say(f"{one}: {_request_removal(one)}")
    _wait_until_gone([one])


def _request_removal(one: Residue) -> str:
    """What is done to it. It is looked at again: between the look and now somebody may have made it something else."""
    kind = KINDS[one.kind]
    thing = next(iter(kind.find(one.id)), None)
    if thing is None:
        return "gone already"
    now = _residue(thing, _own_names())
    if now.guard or now.run_id != one.run_id:
        raise PreconditionFailed(
            f"{thing} was not removed: {now.guard or f'it is of run {now.run_id} now, expected {one.run_id}'}"
        )
    kind.remove(thing)
    return "is being removed"


def _wait_until_gone(things: Iterable[Residue]) -> None:
    left = {str(one): one for one in things}

    def look() -> list[str]:
        for name, one in list(left.items()):
            if not any(KINDS[one.kind].find(one.id)):
                del left[name]
        return sorted(left)

    wait_until(
        "what is being removed",
        look,
        lambda names: not names,
        timeout_seconds=GONE_SECONDS,
        expected="all of it to be gone",
    )


def _residue(thing: Thing, own: set[str]) -> Residue:
    expires_at = _parse(thing.tags.get(EXPIRES_AT, ""))
    return Residue(
        thing.kind,
        thing.id,
        thing.tags.get(RUN_ID, "unknown"),
        thing.tags.get(FLOW, "unknown"),
        expires_at or NEVER_SAID,
        thing.created,
        _guard(thing, expires_at, own),
    )


def _guard(thing: Thing, expires_at: datetime | None, own: set[str]) -> str:
    if thing.id in own:
        return f"it is an environment's own. Take the tags {', '.join(MARKS)} off it: they have no place there"
    if missing := [mark for mark in MARKS if not thing.tags.get(mark)]:
        return f"it has no tag {', '.join(missing)}, expected all of {', '.join(MARKS)}. Remove it by hand, or tag it"
    if expires_at is None:
        seen = thing.tags[EXPIRES_AT]
        return f"{EXPIRES_AT} is {seen!r}, expected a time such as 2026-11-24T09:30:00Z. Remove it by hand, or tag it"
    if thing.kind == "RDS instance" and thing.tags[FLOW] == SNAPSHOT_FLOW:
        return f"its tags are those of the snapshot that it was restored from. Take {', '.join(MARKS)} off it"
    return thing.protection


def _environment_of(thing: Thing) -> str | None:
    if tagged := thing.tags.get(ENVIRONMENT):
        return tagged
    names = (thing.id, thing.tags.get("Name", ""))
    return next((e for e in _environments() if any(n.startswith(f"{PROJECT}-{e}-") for n in names)), None)


def _own_names() -> set[str]:
    """The databases and their secrets, whether Terraform's outputs can be read or not."""
    usual = {f"{PROJECT}-{e}-db{suffix}" for e in _environments() for suffix in ("", "-verifier")}
    said = {read_outputs(e).get("db_identifier") for e in _environments()}
    return {*usual, *(str(name) for name in said if name)}


def _environments() -> tuple[str, ...]:
    return get_args(EnvironmentName)


def _parse(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None
