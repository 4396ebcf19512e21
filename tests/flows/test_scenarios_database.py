"""Drills of the database in an environment that Terraform built, with the application itself: somebody deletes rows."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import psycopg2
import pytest

from flows.deploy_application import deploy_application
from flows.set_up_verifier import set_up_verifier
from tasks import aws, rds, secretsmanager
from tasks import database_recovery as recovery
from tasks.database_recovery import RETIRE_AFTER
from tasks.environment import PROJECT, describe_environment
from tasks.errors import PreconditionFailed
from tasks.scenarios_database import ACCIDENTAL_DELETE
from tasks.scenarios_loss import WHOLE_ENVIRONMENT
from tests.drilling import (
    DRILL,
    drill,
    kill_everywhere,
    last_journal,
    require_proven,
    require_red_and_undone,
    retire_kept,
    sabotaged,
    situation,
)
from tests.stack import ROOT, push_release

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1500)]
RESTORED_TO_SECONDS = 2  # at most so long before the damage: the whole second before it


@pytest.fixture(scope="module")
def items(built: dict[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
    """The application itself in place of the small release, and some items."""
    pushed = push_release(aws.client("ecr"), ROOT, "drilled")
    how: dict[str, Any] = {"batch_percentage": 100, "bake_minutes": 0, "return_state": True}
    assert deploy_application("dev", pushed.partition("@")[2], **how).is_completed()
    assert set_up_verifier("dev", return_state=True).is_completed()  # type: ignore[call-overload]
    ask("delete from items")  # of whoever was here before
    ask("insert into items (name, price) select format('item %s', n), n * 0.37 from generate_series(1, 7) as n")
    yield rows()
    retire_kept()
    assert deploy_application("dev", built["image"], **how).is_completed()


def ask(statement: str) -> list[tuple[Any, ...]]:
    """Of the database that serves."""
    found = secretsmanager.read_value(f"{PROJECT}-dev-db")
    assert found
    asked = {"user": found["username"], **{name: found[name] for name in ("host", "port", "dbname", "password")}}
    with closing(psycopg2.connect(**asked)) as session, session, session.cursor() as sql:
        sql.execute(statement)
        return sql.fetchall() if sql.description else []


def rows() -> list[tuple[Any, ...]]:
    return ask("select * from items order by id")


def kept() -> list[str]:
    """What drills have put into the bucket of the backups, and not taken away."""
    bucket = describe_environment.fn("dev").backup_bucket
    return [one["Key"] for one in aws.client("s3").list_objects_v2(Bucket=bucket, Prefix="drills/").get("Contents", [])]


def test_the_undo_brings_the_very_rows_back_and_twice_is_once(items: list[tuple[Any, ...]]) -> None:
    one, (step,) = situation(ACCIDENTAL_DELETE), ACCIDENTAL_DELETE.method
    step.undo(one)
    for _ in range(2):
        step.do(one)
    assert ACCIDENTAL_DELETE.is_broken(one) == []
    assert (rows(), kept()) == ([], [f"drills/{DRILL}/items.json"])
    for _ in range(2):
        step.undo(one)
    assert (rows(), kept()) == (items, [])


def test_a_restore_that_is_denied_makes_the_drill_red_and_the_rows_come_back(
    built: dict[str, Any], items: list[tuple[Any, ...]]
) -> None:
    lab = f"{built['env']['AWS_ENDPOINT_URL']}/lab/faults"

    def deny() -> None:
        fault = {"match": "rds:RestoreDBInstanceToPointInTime", "kind": "error", "code": "AccessDenied", "status": 403}
        httpx.post(lab, json=fault).raise_for_status()

    with sabotaged("accidental-delete", deny):
        require_red_and_undone(drill("accidental-delete"), "recover-database ended Failed")
    httpx.delete(lab).raise_for_status()
    assert (rows(), kept()) == (items, [])
    assert recovery.find("dev") is None
    time.sleep(RESTORED_TO_SECONDS)  # or the next drill would restore to when the rows were not back yet


def test_deleted_rows_are_recovered_and_what_it_took_is_told(items: list[tuple[Any, ...]]) -> None:
    require_proven(drill("accidental-delete"))
    done, journal = recovery.find("dev"), last_journal()
    assert (rows(), kept()) == (items, [])
    assert done is not None
    assert not done.is_unfinished
    assert journal.lost_seconds is not None
    assert 0 < journal.lost_seconds <= ACCIDENTAL_DELETE.rpo_seconds  # type: ignore[operator]
    assert done.damaged_id in {one.id for one in rds.find_tagged(RETIRE_AFTER)}
    with pytest.raises(PreconditionFailed, match=done.damaged_id):
        situation(WHOLE_ENVIRONMENT)


def test_killed_at_every_task_boundary_deleted_rows_are_recovered(
    built_environment: dict[str, str], items: list[tuple[Any, ...]]
) -> None:
    kill_everywhere("accidental-delete", built_environment)
    done = recovery.find("dev")
    assert (rows(), kept()) == (items, [])
    assert done is not None
    assert not done.is_unfinished
