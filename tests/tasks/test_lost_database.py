"""Which backup a lost database comes back from, decided from plain values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import PreconditionFailed
from tasks.lost_database import RESTORED_FROM, RESTORING_FROM, Backup, choose_backup

NOW = datetime(2026, 11, 26, 14, 30, tzinfo=UTC)
SNAPSHOT = Backup("final", "manual snapshot", NOW, NOW + timedelta(minutes=1), True)
RETAINED = Backup("db-ABC", "retained automated backups", NOW + timedelta(hours=1), NOW + timedelta(hours=1), False)
BACKUPS = (SNAPSHOT, RETAINED)


def database(status: str = "available", **tags: str) -> Any:
    return SimpleNamespace(status=status, tags=tags)


def choose(db: Any, backups: tuple[Backup, ...] = BACKUPS) -> Backup | None:
    return choose_backup("shop-db", db, backups)


def test_a_database_that_is_gone_comes_back_from_what_holds_most() -> None:
    assert choose(None) is RETAINED


def test_another_backup_can_be_asked_for_and_one_that_is_not_there_is_refused() -> None:
    assert choose_backup("shop-db", None, BACKUPS, "final") is SNAPSHOT
    with pytest.raises(PreconditionFailed, match="expected one of final, db-ABC"):
        choose_backup("shop-db", None, BACKUPS, "db-XYZ")


def test_a_database_that_is_gone_without_a_backup_is_said_to_be_lost() -> None:
    with pytest.raises(PreconditionFailed, match="neither retained automated backups nor a snapshot"):
        choose(None, ())


def test_a_database_that_was_never_lost_is_left_alone() -> None:
    assert choose(database()) is None
    assert choose(database(**{RESTORED_FROM: SNAPSHOT.mark})) is None


def test_a_restore_that_a_killed_run_began_goes_on_from_the_same_backup() -> None:
    begun = database("creating", **{RESTORING_FROM: SNAPSHOT.mark})
    assert choose(begun, (*BACKUPS, replace(RETAINED, id="db-XYZ"))) is SNAPSHOT


def test_a_restore_whose_backup_is_gone_is_not_taken_for_proven() -> None:
    with pytest.raises(PreconditionFailed, match="never judged"):
        choose(database(**{RESTORING_FROM: SNAPSHOT.mark}), (RETAINED,))


def test_a_database_that_is_just_being_deleted_is_waited_for_by_a_person() -> None:
    with pytest.raises(PreconditionFailed, match="'deleting'"):
        choose(database("deleting"))


def test_the_mark_has_only_characters_that_a_tag_of_rds_takes() -> None:
    assert all(letter.isalnum() or letter in " _.:/=+-@" for letter in RETAINED.mark)
