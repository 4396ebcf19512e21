"""What a recovery decides from plain values: which one is meant, how things are called, what may not be touched."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tasks import adoption, recovery_undo, retirement
from tasks import database_recovery as recovery
from tasks.database_recovery import Recovery, Request
from tasks.db_snapshots import Snapshot
from tasks.errors import PreconditionFailed
from tasks.restore_point import choose_snapshot
from tasks.terraform_plan import Change, Plan
from tests.tasks.test_evidence import DB

DAMAGED_AT = datetime(2026, 11, 24, 14, 30, 0, 250_000, tzinfo=UTC)
ASKED = Request("dev", DAMAGED_AT, "rename", "deleted", None, 14)
BEGUN = Recovery(
    environment="dev",
    run_id="1A2B-3c4d-5e6f",
    serving="demo-flask-app-dev-db",
    source="db-OLD",
    is_lost=False,
    is_protected=True,
    damaged_at=DAMAGED_AT.isoformat(),
    point=ASKED.restore_point,
    cut_over="rename",
    damage="deleted",
    keep_days=14,
    begun_at="2026-11-24T14:45:00+00:00",
)
ENDED = replace(BEGUN, ended_at="2026-11-24T15:30:00+00:00")
TODAY = date(2026, 12, 9)
ASIDE = replace(DB, tags={"runbook:retire-after": "2026-12-08"})


def test_the_point_is_the_last_whole_second_that_was_over_before_the_damage() -> None:
    assert ASKED.restore_point == "2026-11-24T14:29:59+00:00"
    on_the_second = replace(ASKED, damaged_at=DAMAGED_AT.replace(microsecond=0))
    assert on_the_second.restore_point == "2026-11-24T14:29:59+00:00"
    assert replace(ASKED, point="a-snapshot").restore_point == "a-snapshot"


def test_names_tell_what_an_instance_is_and_fit_rds() -> None:
    assert BEGUN.copy_id == "demo-flask-app-dev-db-recovered-1a2b3c4d"
    assert BEGUN.damaged_id == "demo-flask-app-dev-db-damaged-20261124-1a2b3c4d"
    assert BEGUN.recovered_id == BEGUN.serving
    assert BEGUN.retire_after == "2026-12-08"
    moved = replace(BEGUN, cut_over="endpoint", environment="prod")
    assert (moved.recovered_id, moved.damaged_id) == (moved.copy_id, moved.serving)
    assert len(replace(moved, cut_over="rename").damaged_id) <= 63


def test_a_recovery_that_was_begun_goes_on_and_one_that_ended_is_not_done_again() -> None:
    assert recovery.find_begun(None, ASKED) is None
    assert recovery.find_begun(BEGUN, ASKED) is BEGUN
    assert recovery.find_begun(ENDED, ASKED) is ENDED
    later = replace(ASKED, damaged_at=DAMAGED_AT + timedelta(hours=5))
    assert recovery.find_begun(ENDED, later) is None
    for found, asked in ((BEGUN, later), (replace(BEGUN, undoing_at="2026-11-24T15:00:00+00:00"), ASKED)):
        with pytest.raises(PreconditionFailed, match="a recovery is unfinished"):
            recovery.find_begun(found, asked)


def test_the_plans_hash_is_of_what_is_done_and_not_of_how_far_it_came() -> None:
    assert ENDED.hash == BEGUN.hash
    others = [replace(BEGUN, point="x"), replace(BEGUN, source="x"), replace(BEGUN, keep_days=1)]
    assert BEGUN.hash not in {one.hash for one in others}


def test_nothing_is_undone_where_there_is_nothing_to_go_back_to() -> None:
    assert recovery_undo.require_undoable(BEGUN, "dev") is BEGUN
    with pytest.raises(PreconditionFailed, match="there is no recovery of dev"):
        recovery_undo.require_undoable(None, "dev")
    with pytest.raises(PreconditionFailed, match="is gone, expected it to be there to go back to"):
        recovery_undo.require_undoable(replace(BEGUN, is_lost=True, verified_at="then"), "dev")


def test_only_what_was_put_aside_and_whose_day_has_passed_is_retired() -> None:
    retirement.require_retirable(ASIDE, serves=False, in_state=False, environment="dev", today=TODAY)
    refusals = {
        "serves production": (ASIDE, True, False, TODAY),
        "is in Terraform's state": (ASIDE, False, True, TODAY),
        "has no tag runbook:retire-after": (DB, False, False, TODAY),
        "is kept until 2026-12-08 has passed": (ASIDE, False, False, date(2026, 12, 8)),
        "is of prod": (replace(ASIDE, tags={**ASIDE.tags, "Environment": "prod"}), False, False, TODAY),
    }
    for words, (db, serves, in_state, today) in refusals.items():
        with pytest.raises(PreconditionFailed, match=words):
            retirement.require_retirable(db, serves=serves, in_state=in_state, environment="dev", today=today)


REPLICATION = 'module.backup_replica["main"].aws_db_instance_automated_backups_replication.main'


def test_a_replication_follows_to_the_database_that_serves() -> None:
    kind = "aws_db_instance_automated_backups_replication"
    adoption.require_only_adoption(
        Plan((Change(REPLICATION, kind, "replace", ("source_db_instance_arn",), None),), "h")
    )


@pytest.mark.parametrize(
    ("address", "kind", "action"),
    [
        ("module.ec2.aws_autoscaling_group.main", "aws_autoscaling_group", "update"),
        ("module.rds.aws_db_instance.main", "aws_db_instance", "replace"),
        ("module.monitoring.aws_cloudwatch_metric_alarm.x", "aws_cloudwatch_metric_alarm", "delete"),
        (REPLICATION, "aws_db_instance_automated_backups_replication", "delete"),
    ],
)
def test_what_is_more_than_an_adoption_is_not_applied(address: str, kind: str, action: str) -> None:
    adoption.require_only_adoption(Plan((Change("module.rds.aws_db_instance.main", kind, "update", (), None),), "h"))
    with pytest.raises(PreconditionFailed):
        adoption.require_only_adoption(Plan((Change(address, kind, action, (), None),), "h"))


def test_without_automated_backups_the_newest_snapshot_before_the_point_is_taken() -> None:
    old, new = (snapshot(name, DAMAGED_AT - timedelta(hours=hours)) for name, hours in (("old", 30), ("new", 6)))
    assert choose_snapshot(ASKED.restore_point, (old, new)).snapshot == new
    assert choose_snapshot("old", (old, new)).snapshot == old
    with pytest.raises(PreconditionFailed, match="neither an automated backup nor a snapshot"):
        choose_snapshot("2026-11-01T00:00:00+00:00", (old, new))


def snapshot(name: str, taken_at: datetime) -> Snapshot:
    return Snapshot(name, "db", "manual", "available", taken_at, taken_at, "15.8", True, None, 20, "arn", {})
