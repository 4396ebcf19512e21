"""A maintenance window: announced, begun and ended by runs of their own, and kept beside the environment's outputs."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks import aws, change_calendar, change_lock, db_snapshots, gate, maintenance_window
from tasks.environment import Environment, find_parameter, keep_parameter, read_outputs
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.finding import Finding
from tasks.kinds import action, probe
from tasks.waiting import wait_until

MARKER = "maintenance"
REMINDER = timedelta(hours=2)
NOTICE = timedelta(hours=24)  # "Announce maintenance (24-48 hours notice)", the runbook
FRESH_SNAPSHOT = timedelta(hours=3)
LOOK_SECONDS = 30.0


@dataclass(frozen=True)
class Maintenance:
    """Times are ISO 8601; empty: not yet. `told`: which reminders people had."""

    id: str
    environment: str
    begins_at: str
    minutes: int
    what: str
    announced_at: str
    begun_at: str = ""
    ended_at: str = ""
    told: Sequence[str] = ()

    @property
    def begins(self) -> datetime:
        return datetime.fromisoformat(self.begins_at)

    @property
    def ends(self) -> datetime:
        return self.begins + timedelta(minutes=self.minutes)

    def __str__(self) -> str:
        return (
            f"maintenance of {self.environment}, {self.begins:%A %Y-%m-%d %H:%M} to {self.ends:%H:%M} UTC: {self.what}"
        )

    def changelog(self) -> str:
        """The entry for CHANGELOG.md."""
        return f"- {self.begins:%Y-%m-%d} {self.what} ({self.environment}, maintenance {self.id})"


@probe
def find_maintenance(environment: str) -> Maintenance | None:
    """The last one that was announced and has not ended."""
    text = find_parameter(environment, MARKER)
    found = Maintenance(**json.loads(text)) if text else None
    return found if found and not found.ended_at else None


def plan_maintenance(
    environment: str, begins: datetime, minutes: int, what: str, now: datetime, late_because: str | None
) -> Maintenance:
    """
    Raises:
        PreconditionFailed: it is announced too late, lies outside of the weekly window, or in a freeze.
    """
    begins = begins.astimezone(UTC).replace(second=0, microsecond=0)
    if begins - now < NOTICE and not (late_because and late_because.strip()):
        raise PreconditionFailed(
            f"{begins:%Y-%m-%d %H:%M} UTC is less than {NOTICE // timedelta(hours=1)} h from now, expected more: people"
            " plan around it. In an emergency give the reason: --late-because ..."
        )
    window = maintenance_window.current_or_next(begins)
    if not (late_because and late_because.strip()) and not (
        window.opens <= begins and begins + timedelta(minutes=minutes) <= window.closes
    ):
        raise PreconditionFailed(f"{begins:%A %Y-%m-%d %H:%M} UTC and {minutes} min are not inside the window {window}")
    if freeze := change_calendar.read_calendar().freeze(environment, begins):
        raise PreconditionFailed(f"{begins:%Y-%m-%d %H:%M} UTC lies in a freeze: {freeze}")
    announced_at = now.astimezone(UTC).isoformat(timespec="seconds")
    return Maintenance(f"{begins:%Y%m%d-%H%M}", environment, begins.isoformat(), minutes, what, announced_at)


def hash_of(one: Maintenance) -> str:
    """Of what was announced: when it begins in it does not matter."""
    decided = [one.environment, one.id, one.minutes, one.what]
    return hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:12]


def require_no_other(known: Maintenance | None, wanted: Maintenance, now: datetime) -> None:
    """One whose time passed without a beginning is over; the same one is announced once."""
    if known and known.id != wanted.id and (known.begun_at or known.ends > now):
        raise PreconditionFailed(
            f"announced already is {known}, expected none. End that one first: python -m flows.end_maintenance"
            f" --environment {known.environment}"
        )


def require_open(known: Maintenance | None, environment: str, now: datetime) -> Maintenance:
    """
    Raises:
        PreconditionFailed: nothing was announced, or its time is not now.
    """
    if known is None:
        raise PreconditionFailed(
            f"no maintenance of {environment} was announced, expected one: python -m flows.announce_maintenance"
        )
    if not known.begins <= now < known.ends:
        raise PreconditionFailed(f"it is {now:%Y-%m-%d %H:%M} UTC; announced is {known}")
    return known


def reminder(one: Maintenance, now: datetime) -> tuple[str, str] | None:
    """Its name and what people should read, when its time has come and they have not read it."""
    soon = one.begins - REMINDER
    if now >= one.ends and one.begun_at:
        end = f"python -m flows.end_maintenance --environment {one.environment}"
        due = ("overrun", f"should have ended by now, and nobody ended it. Its alarms are heard again. Run: {end}")
    elif now >= one.ends:
        due = ("missed", "was not begun, and its time is over. Announce it again if it is still wanted")
    elif soon <= now < one.begins and datetime.fromisoformat(one.announced_at) < soon:
        due = ("soon", f"begins in {-(-int((one.begins - now).total_seconds()) // 60)} min")
    else:
        return None
    return None if due[0] in one.told else due


@probe
def require_fresh_snapshot(where: Environment, now: datetime) -> str:
    """
    Raises:
        PreconditionFailed: there is nothing to go back to from just before the work.
    """
    found = [one for one in db_snapshots.list_available_snapshots.fn(where.db_identifier) if one.kind == "manual"]
    if not found or now - found[-1].latest > FRESH_SNAPSHOT:
        seen = f"the newest snapshot is {found[-1].id} of {found[-1].latest:%Y-%m-%d %H:%M} UTC" if found else "none"
        raise PreconditionFailed(
            f"{seen}, expected one of the last {FRESH_SNAPSHOT // timedelta(hours=1)} h: python -m"
            f" flows.snapshot_database --environment {where.environment} --reason maintenance"
        )
    return f"snapshot {found[-1].id} of {found[-1].latest:%Y-%m-%d %H:%M} UTC"


@action
def keep(one: Maintenance, **changes: Any) -> Maintenance:
    now = replace(one, **changes)
    keep_parameter(now.environment, MARKER, json.dumps(asdict(now)))
    return now


@action
def capture(where: Environment, one: Maintenance, when: str, findings: Sequence[Finding]) -> str:
    """Outputs and the health of each component, beside the backups; where to look at them."""
    key = f"maintenance/{one.id}/{when}.json"
    seen = {
        "run": change_lock.run_id(),
        "at": now(),
        "outputs": {name: value for name, value in read_outputs(where.environment).items() if name != MARKER},
        "components": [asdict(finding) for finding in findings],
    }
    aws.client("s3").put_object(
        Bucket=where.backup_bucket, Key=key, Body=json.dumps(seen, indent=2), ContentType="application/json"
    )
    return f"s3://{where.backup_bucket}/{key}"


@probe
def watch_afterwards(where: Environment, minutes: float, lowest_capacity: int) -> None:
    """
    Raises:
        VerificationFailed: an alarm, a failed request, missing capacity or an incident within that time.
    """
    reasons_to_stop = gate.service_gate(where, lowest_capacity)
    over = datetime.now(UTC) + timedelta(minutes=minutes)

    def is_over(reasons: list[str]) -> bool:
        if reasons:
            raise VerificationFailed(f"after the maintenance of {where}: {'; '.join(reasons)}; expected nothing")
        return datetime.now(UTC) >= over

    wait_until(
        f"{where} after its maintenance",
        reasons_to_stop,
        is_over,
        timeout_seconds=60 * minutes + LOOK_SECONDS,
        expected="to stay well",
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
