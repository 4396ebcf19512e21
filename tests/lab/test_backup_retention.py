"""When automated backups are due and when they expire: days that no test can wait for."""

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.base_backup import BaseBackup
from lab.rds_backups import AutomatedBackups, window_opening

NOW = datetime.datetime(2026, 3, 2, 0, 10, 30)
DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("window", "opened"),
    [
        ("00:00-00:30", datetime.datetime(2026, 3, 2, 0, 0)),
        ("23:50-00:20", datetime.datetime(2026, 3, 1, 23, 50)),
        ("00:10-00:40", datetime.datetime(2026, 3, 2, 0, 10)),
        ("00:11-00:41", None),
        ("23:30-00:10", None),
    ],
)
def test_a_backup_window_may_span_midnight(window: str, opened: datetime.datetime | None) -> None:
    assert window_opening(window, NOW) == opened


@pytest.fixture
def backups(tmp_path: Path) -> AutomatedBackups:
    """Those of five days, with a retention period of two."""
    db: Any = SimpleNamespace(
        partition="aws",
        account_id="123456789012",
        dbi_resource_id="db-1",
        backup_retention_period=2,
        preferred_backup_window="00:00-00:30",
        backend=SimpleNamespace(database_snapshots={}, region_name="eu-north-1"),
    )
    found = AutomatedBackups(db, tmp_path)
    found.archive.folder.mkdir()
    for age in (4, 3, 2, 1):
        folder = found.folder / f"day-{5 - age}"
        folder.mkdir(parents=True)
        start = segment(5 - age)
        (folder / "backup_label").write_text(f"START WAL LOCATION: 0/1000028 (file {start})\n")
        (found.archive.folder / start).touch()
        base = BaseBackup(folder, NOW - age * DAY)
        found.bases.append(base)
        snapshot = SimpleNamespace(dbi_resource_id="db-1", snapshot_type="automated", base_backup=base)
        db.backend.database_snapshots[f"rds:{folder.name}"] = snapshot
    found.latest = NOW
    return found


def segment(number: int) -> str:
    return f"{1:08X}{0:08X}{number:08X}"


def test_what_is_older_than_the_retention_period_goes_with_its_log(backups: AutomatedBackups) -> None:
    backups.expire(NOW)
    assert backups.window == (NOW - 2 * DAY, NOW)
    assert [base.folder.name for base in backups.bases] == ["day-3", "day-4"]
    assert list(backups.snapshots) == ["rds:day-3", "rds:day-4"]
    assert sorted(path.name for path in backups.folder.iterdir()) == ["day-3", "day-4"]
    assert sorted(path.name for path in backups.archive.folder.iterdir()) == [segment(3), segment(4)]


def test_a_backup_stays_until_a_later_one_reaches_back_as_far(backups: AutomatedBackups) -> None:
    backups.expire(NOW - DAY / 2)
    assert [base.folder.name for base in backups.bases] == ["day-2", "day-3", "day-4"]
    assert backups.base_for(NOW - 1.5 * DAY).folder.name == "day-3"


def test_what_a_restore_reads_stays_until_it_has_read_it(backups: AutomatedBackups) -> None:
    oldest = backups.bases[0]
    oldest.hold()
    backups.archive.hold()
    backups.end()
    assert backups.bases == []
    assert oldest.folder.exists()
    assert (backups.archive.folder / segment(1)).exists()
    oldest.let_go()
    backups.archive.let_go()
    assert not oldest.folder.exists()
    assert not backups.archive.folder.exists()


def test_a_backup_is_due_once_in_each_window(backups: AutomatedBackups) -> None:
    assert backups.is_due(NOW)
    assert not backups.is_due(NOW + datetime.timedelta(hours=1))
    backups.bases.append(BaseBackup(backups.folder / "today", NOW))
    assert not backups.is_due(NOW)
    assert backups.is_due(NOW + DAY)
