"""Which backup a restore starts from: a snapshot, or a point in time. Decided from plain values."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.db_snapshots import RestoreWindow, Snapshot
from tasks.errors import PreconditionFailed

LATEST_SNAPSHOT, NOW, RANDOM = "latest-snapshot", "now", "random"
SHOWN = 5
NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class RestorePoint:
    """A snapshot, or a `time`; what is restored is as it was between `earliest` and `latest`, which `time` equals."""

    earliest: datetime
    latest: datetime
    snapshot: Snapshot | None = None

    @property
    def time(self) -> datetime | None:
        return None if self.snapshot else self.latest

    def __str__(self) -> str:
        return str(self.snapshot) if self.snapshot else f"the point in time {self.latest.isoformat()}"


def at(time: datetime) -> RestorePoint:
    return RestorePoint(time, time)


def of(snapshot: Snapshot) -> RestorePoint:
    return RestorePoint(snapshot.earliest, snapshot.latest, snapshot)


def choose(
    asked: str,
    snapshots: Sequence[Snapshot],
    window: RestoreWindow,
    now: datetime,
    seed: str,
    recorded: datetime | None,
) -> RestorePoint:
    """The point that `asked` means: latest-snapshot, now, random, a snapshot's identifier or an ISO 8601 time.

    Args:
        snapshots: those that can be restored, oldest first.
        now: a point in time may lie behind the window's end, which follows in minutes, but not behind this.
        seed: of `random`; the same seed gives the same point in the same window.
        recorded: the moment whose content this run has recorded, which is what "now" stands for.

    Raises:
        PreconditionFailed: there is no such backup.
    """
    if asked == LATEST_SNAPSHOT:
        if not snapshots:
            raise PreconditionFailed("there is no available snapshot, expected one: run snapshot_database first")
        return of(snapshots[-1])
    if asked == NOW and recorded:
        return at(recorded)
    if asked == RANDOM:
        share = random.Random(seed).random()  # noqa: S311 - a sample, not a secret
        return at(window.earliest + share * (window.latest - window.earliest))
    if (time := _parse(asked)) is not None:
        return at(_restorable(time, window, now))
    return of(_named(asked, snapshots))


def choose_snapshot(asked: str, snapshots: Sequence[Snapshot]) -> RestorePoint:
    """Where no point in time can be restored: the snapshot of that name, or the newest from before that time.

    Raises:
        PreconditionFailed: there is none.
    """
    if (time := _parse(asked)) is None:
        return choose(asked, snapshots, RestoreWindow(NEVER, NEVER), NEVER, seed="", recorded=None)
    if earlier := [one for one in snapshots if one.latest <= time]:
        return of(earlier[-1])
    raise PreconditionFailed(
        f"there is neither an automated backup nor a snapshot from before {time.isoformat()}, expected one of them."
        f" Available: {', '.join(one.id for one in snapshots) or 'none'}; name one of them as --point"
    )


def _parse(asked: str) -> datetime | None:
    try:
        return datetime.fromisoformat(asked)
    except ValueError:
        return None


def _restorable(time: datetime, window: RestoreWindow, now: datetime) -> datetime:
    if time.tzinfo is None:
        raise PreconditionFailed(f"{time.isoformat()} has no time zone, expected one: {time.isoformat()}Z for UTC")
    if time < window.earliest:
        raise PreconditionFailed(
            f"{time.isoformat()} is before the oldest backup, expected a point in {window}. Choose a later point, or a"
            " manual snapshot from before it"
        )
    if time > now:
        raise PreconditionFailed(f"{time.isoformat()} is in the future, expected a point in {window}")
    return time.astimezone(UTC)


def _named(snapshot_id: str, snapshots: Sequence[Snapshot]) -> Snapshot:
    found = next((one for one in snapshots if one.id == snapshot_id), None)
    if found is None:
        newest = ", ".join(one.id for one in reversed(snapshots[-SHOWN:])) or "none"
        raise PreconditionFailed(
            f"there is no available snapshot {snapshot_id!r}, expected one that has neither expired nor been deleted."
            f" The newest available: {newest}. A point in time is written as 2026-11-24T09:30:00Z"
        )
    return found
