"""A recovery of the database: what was approved and how far it came, kept beside the environment's outputs.

RDS itself knows which instance has which name; the marker knows what it was to become, so that any run can go on with
it, undo it, or say that nobody does.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tasks import change_lock
from tasks.environment import PROJECT, EnvironmentName, find_parameter, forget_parameter, keep_parameter
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe

CutOver = Literal["rename", "endpoint"]
Damage = Literal["deleted", "any"]
MARKER = "recovery"
RECOVERY, RETIRE_AFTER = "runbook:recovery", "runbook:retire-after"


@dataclass(frozen=True)
class Recovery:
    """`source` and `copy` are DbiResourceIds, which outlive a rename. Times are ISO 8601; empty: not yet.

    `is_lost`: the damaged instance is gone, and only its backups are left of it.
    """

    environment: EnvironmentName
    run_id: str
    serving: str
    source: str
    is_lost: bool
    is_protected: bool
    damaged_at: str
    point: str
    cut_over: CutOver
    damage: Damage
    keep_days: int
    begun_at: str = ""
    copy: str = ""
    verified_at: str = ""
    closed_at: str = ""
    let_in_at: str = ""
    serving_at: str = ""
    adopting_at: str = ""
    ended_at: str = ""
    undoing_at: str = ""
    reopened_at: str = ""
    undone_by: str = ""

    @property
    def id(self) -> str:
        return change_lock.shorten(self.run_id)

    @property
    def hash(self) -> str:
        """Two plans with the same hash do the same."""
        decided = [self.environment, self.serving, self.source, self.point, self.cut_over, self.damage, self.keep_days]
        return hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:12]

    @property
    def copy_id(self) -> str:
        """What the recovered instance is called until it takes its place, and afterwards when it is not renamed."""
        return f"{PROJECT}-{self.environment}-db-recovered-{self.id}"

    @property
    def recovered_id(self) -> str:
        return self.serving if self.cut_over == "rename" else self.copy_id

    @property
    def damaged_id(self) -> str:
        if self.cut_over == "endpoint":
            return self.serving
        return f"{PROJECT}-{self.environment}-db-damaged-{_time(self.damaged_at):%Y%m%d}-{self.id}"

    @property
    def undone_id(self) -> str:
        return f"{PROJECT}-{self.environment}-db-undone-{self.id}"

    @property
    def retire_after(self) -> str:
        return f"{_time(self.begun_at) + timedelta(days=self.keep_days):%Y-%m-%d}"

    @property
    def is_unfinished(self) -> bool:
        return not self.ended_at or bool(self.undoing_at)

    @property
    def state(self) -> str:
        if self.undoing_at:
            return f"being undone since {self.undoing_at}"
        if self.ended_at:
            return f"ended at {self.ended_at}"
        if self.let_in_at:
            return f"open to writers since {self.let_in_at}, and not yet in Terraform's state"
        if self.verified_at:
            return f"verified at {self.verified_at}; production is closed to writers since {self.closed_at or 'then'}"
        return f"begun at {self.begun_at}; production serves as before"

    def __str__(self) -> str:
        kept = f"keep the damaged one as {self.damaged_id} for {self.keep_days} days"
        return (
            f"recover {self.serving} ({self.source}) to {self.point}, damaged at {self.damaged_at}, cut over by"
            f" {self.cut_over} to {self.recovered_id}; {'the damaged one is gone' if self.is_lost else kept}"
        )


@probe
def find_recovery(environment: str) -> Recovery | None:
    """The last one that was begun and not undone."""
    return find(environment)


def find(environment: str) -> Recovery | None:
    found = _read(environment)
    return None if found and found.undone_by else found


@probe
def find_undone_by_this_run(environment: str) -> Recovery | None:
    """The last recovery, if this run has undone it and was killed before it could say so."""
    found = _read(environment)
    return found if found and found.undone_by == change_lock.run_id() else None


@dataclass(frozen=True)
class Request:
    """What a person asked for: it says whether a recovery that was begun is this one."""

    environment: EnvironmentName
    damaged_at: datetime
    cut_over: CutOver
    damage: Damage
    point: str | None
    keep_days: int

    @property
    def restore_point(self) -> str:
        """RDS restores whole seconds: the last one that was over before the damage."""
        return self.point or (self.damaged_at.replace(microsecond=0) - timedelta(seconds=1)).isoformat()

    def is_of(self, recovery: Recovery) -> bool:
        wanted = (self.damaged_at.isoformat(), self.cut_over, self.damage, self.restore_point, self.keep_days)
        return wanted == (
            recovery.damaged_at,
            recovery.cut_over,
            recovery.damage,
            recovery.point,
            recovery.keep_days,
        )


def find_begun(last: Recovery | None, asked: Request) -> Recovery | None:
    """The recovery that `asked` means, if it was begun, or has even ended; None: it is a new one.

    Raises:
        PreconditionFailed: another one is on its way, or this one is being undone. Nothing was changed.
    """
    if last is None or (not last.is_unfinished and not asked.is_of(last)):
        return None
    if last.undoing_at or not asked.is_of(last):
        raise PreconditionFailed(f"{describe_unfinished(last)}. Nothing was changed")
    return last


@action
def begin(plan: Recovery) -> Recovery:
    """The marker of this recovery; one that a killed run has already begun is taken as it is.

    Raises:
        PreconditionFailed: another recovery was begun meanwhile.
    """
    found = find(plan.environment)
    if found is None or not found.is_unfinished:
        return _write(replace(plan, begun_at=plan.begun_at or now()))
    if found.hash != plan.hash or found.damaged_at != plan.damaged_at or found.undoing_at:
        raise PreconditionFailed(f"{describe_unfinished(found)}. Nothing was changed")
    return found


@action
def record(recovery: Recovery, **progress: str) -> Recovery:
    """What is recorded already stays: a run that resumes does not move a moment."""
    found = find(recovery.environment) or recovery
    fresh: dict[str, Any] = {name: value for name, value in progress.items() if not getattr(found, name)}
    return _write(replace(found, **fresh)) if fresh else found


@action
def forget(recovery: Recovery) -> None:
    """It was begun, and nothing has come of it."""
    forget_parameter(recovery.environment, MARKER)


@action
def record_undone(recovery: Recovery) -> None:
    """There is no recovery any more."""
    _write(replace(recovery, undone_by=change_lock.run_id()))


@probe
def require_none_unfinished(environment: str) -> None:
    """
    Raises:
        PreconditionFailed: Terraform would undo what a recovery has begun. Nothing was changed.
    """
    found = find(environment)
    if found and found.is_unfinished:
        raise PreconditionFailed(f"{describe_unfinished(found)}. Nothing was changed")


@probe
def require_none_abandoned(environment: str) -> None:
    """
    Raises:
        VerificationFailed: a recovery, or its undoing, stopped on its way and no run works on it.
    """
    found = find(environment)
    if found is None or not found.is_unfinished:
        return
    try:
        change_lock.require_free.fn(environment)
    except PreconditionFailed:
        return  # whoever holds the environment works on it
    raise VerificationFailed(describe_unfinished(found))


def describe_unfinished(found: Recovery) -> str:
    back = f"python -m flows.undo_recovery --environment {found.environment}"
    on = f"python -m flows.recover_database --environment {found.environment} --damaged-at {found.damaged_at}"
    advice = back if found.undoing_at else f"{on} --cut-over {found.cut_over}, or take it back: {back}"
    return f"a recovery is unfinished: {found}; {found.state}. Expected none. Go on with it: {advice}"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _read(environment: str) -> Recovery | None:
    found = find_parameter(environment, MARKER)
    return Recovery(**json.loads(found)) if found else None


def _write(recovery: Recovery) -> Recovery:
    keep_parameter(recovery.environment, MARKER, json.dumps(asdict(recovery)))
    return recovery


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
