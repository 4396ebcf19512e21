"""Which backup a word, a name or a time means."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks import restore_point
from tasks.db_snapshots import RestoreWindow, Snapshot
from tasks.errors import PreconditionFailed

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WINDOW = RestoreWindow(NOW - timedelta(days=7), NOW - timedelta(minutes=4))


def snapshot(name: str, days_old: float) -> Snapshot:
    moment = NOW - timedelta(days=days_old)
    return Snapshot(name, "db", "manual", "available", moment, moment, "15.7", True, None, 20, f"arn:{name}", {})


SNAPSHOTS = (snapshot("older", 3), snapshot("newer", 1))


def choose(asked: str, seed: str = "run", recorded: datetime | None = None) -> restore_point.RestorePoint:
    return restore_point.choose(asked, SNAPSHOTS, WINDOW, NOW, seed, recorded)


def test_the_latest_snapshot_is_the_newest_of_them() -> None:
    assert choose("latest-snapshot").snapshot == SNAPSHOTS[1]


def test_a_snapshot_is_named() -> None:
    point = choose("older")
    assert point.snapshot == SNAPSHOTS[0]
    assert point.time is None


def test_now_is_what_was_recorded() -> None:
    moment = NOW - timedelta(seconds=3)
    assert choose("now", recorded=moment).time == moment


def test_a_random_point_is_the_same_for_the_same_run_and_always_in_the_window() -> None:
    points = [choose("random", seed=str(n)).latest for n in range(50)]
    assert all(WINDOW.earliest <= point <= WINDOW.latest for point in points)
    assert len(set(points)) == 50
    assert choose("random", seed="7") == choose("random", seed="7")


@pytest.mark.parametrize("asked", ["2026-11-24T11:59:00Z", "2026-11-24T12:59:00+01:00"])
def test_a_time_may_lie_in_the_minutes_that_rds_has_still_to_ship(asked: str) -> None:
    assert choose(asked).time == datetime(2026, 11, 24, 11, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("2026-11-24T12:01:00Z", "is in the future, expected a point in 2026-11-17"),
        ("2026-11-01T00:00:00Z", "is before the oldest backup, expected a point in 2026-11-17"),
        ("2026-11-24T11:00:00", "has no time zone"),
        ("expired", "there is no available snapshot 'expired'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(asked: str, words: str) -> None:
    with pytest.raises(PreconditionFailed, match=words):
        choose(asked)


def test_without_a_snapshot_the_latest_is_refused() -> None:
    with pytest.raises(PreconditionFailed, match="there is no available snapshot, expected one"):
        restore_point.choose("latest-snapshot", (), WINDOW, NOW, "run", None)
