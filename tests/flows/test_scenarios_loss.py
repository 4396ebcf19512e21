"""Drills of a total loss in an environment that Terraform built: its database is deleted, and all of it destroyed."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg2
import pytest

from app import schema
from app.heartbeat import beat
from tasks import rds, secretsmanager
from tasks.environment import describe_environment
from tasks.scenarios_loss import RPO_SECONDS
from tests.drilling import drill, kill_everywhere, last_journal, require_proven, require_red_and_undone, sabotaged
from tests.losing import DB

RECOVERY = "recover-infrastructure ended Failed"
pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def items(built: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What the application had written."""
    with closing(enter()) as database:
        schema.migrate(database)
        with database, database.cursor() as sql:
            sql.execute("insert into items (name, price) select 'item ' || n, n * 0.25 from generate_series(1, 300) n")
        beat(database, "i-drilled", datetime.now(UTC).replace(second=0, microsecond=0))
    return rows()


@pytest.fixture
def deny_once(built: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """The first recovery may not restore; the second, the undo's, may."""
    faults = f"{built['env']['AWS_ENDPOINT_URL']}/lab/faults"

    calls: list[httpx.Response] = []

    def deny_or_allow() -> None:
        fault = {"match": "rds:RestoreDBInstanceToPointInTime", "kind": "error", "code": "AccessDenied", "status": 403}
        calls.append(httpx.delete(faults) if calls else httpx.post(faults, json=fault))

    yield deny_or_allow
    httpx.delete(faults).raise_for_status()
    assert [one.status_code for one in calls] == [200, 200]


def enter() -> Any:
    """As the application: with what the secret says."""
    found = secretsmanager.read_value(DB)
    assert found
    return psycopg2.connect(user=found["username"], **{n: found[n] for n in ("host", "port", "dbname", "password")})


def rows() -> list[tuple[Any, ...]]:
    with closing(enter()) as database, database.cursor() as sql:
        sql.execute("select * from items order by id")
        return list(sql.fetchall())


def database() -> str:
    return rds.describe_db_instance.fn(DB).resource_id


def require_served(items: list[tuple[Any, ...]]) -> None:
    where = describe_environment.fn("dev")
    assert httpx.get(f"{where.alb_url}/health", verify=False).json()["version"] == "1.0.0"
    assert rows() == items


def test_a_restore_that_is_denied_makes_the_drill_red_and_its_undo_brings_the_database_back(
    items: list[tuple[Any, ...]], deny_once: Callable[[], None]
) -> None:
    before = database()
    with sabotaged("lost-database", deny_once):
        require_red_and_undone(drill("lost-database"), RECOVERY)
    assert database() != before
    require_served(items)


def test_killed_at_every_task_boundary_a_deleted_database_comes_back_with_its_rows(
    built_environment: dict[str, str], items: list[tuple[Any, ...]]
) -> None:
    before = database()
    kill_everywhere("lost-database", built_environment)
    journal = last_journal()
    assert journal.lost_seconds is not None
    assert 0 <= journal.lost_seconds <= RPO_SECONDS
    assert database() != before
    require_served(items)


def test_a_whole_environment_is_built_again_with_its_rows(items: list[tuple[Any, ...]]) -> None:
    before, address = database(), describe_environment.fn("dev").alb_arn
    require_proven(drill("whole-environment"))
    journal = last_journal()
    assert journal.traffic.failed > 0
    assert (database() != before, describe_environment.fn("dev").alb_arn != address) == (True, True)
    require_served(items)


def test_killed_at_every_task_boundary_a_whole_environment_is_built_again(
    built_environment: dict[str, str], items: list[tuple[Any, ...]]
) -> None:
    before = database()
    kill_everywhere("whole-environment", built_environment)
    assert database() != before
    require_served(items)


def test_a_recovery_that_ends_on_the_way_makes_the_drill_red_and_its_undo_builds_the_rest(
    items: list[tuple[Any, ...]], deny_once: Callable[[], None]
) -> None:
    before = database()
    with sabotaged("whole-environment", deny_once):
        require_red_and_undone(drill("whole-environment"), RECOVERY)
    assert database() != before
    require_served(items)
