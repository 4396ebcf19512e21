"""The whole story of an accidental DELETE, under load, with Terraform: recovered by names, undone, recovered by secret.

What the runbook says of it - RTO, RPO, what is lost - is held against the log of the users who met it.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg2
import pytest

from flows.check_environment import check_environment
from flows.deploy_infrastructure import deploy_infrastructure
from flows.recover_database import recover_database
from flows.set_up_verifier import set_up_verifier
from flows.undo_recovery import undo_recovery
from lab.load import Load
from tasks import aws, secretsmanager
from tasks import database_recovery as recovery
from tasks.database_recovery import Recovery
from tasks.database_state import find_resource_id
from tasks.environment import PROJECT, describe_environment
from tests import killing
from tests.flows.conftest import build, reaching
from tests.stack import ROOT

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1500)]
DELETED = 5
RESUMED = [killing.KILLED, 0]
SECOND = timedelta(seconds=1)  # RDS restores whole ones
CHAIN = "select sequence, digest from heartbeats where written_at <= %s"
# The report speaks when it has proven that all serve: seldom before a user writes, and some looks after that.
NOTICED_SECONDS, PROVEN_SECONDS = 2.0, 20.0


@dataclass
class User:
    """Writes an item ten times a second, and notes what became of each."""

    url: str
    log: list[tuple[datetime, datetime, int]] = field(default_factory=list)  # sent, answered, id or 0
    ended: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        with httpx.Client(base_url=self.url, verify=False, timeout=5) as user:
            while not self.ended.wait(0.1):
                sent = datetime.now(UTC)
                try:
                    answer = user.post("/items", json={"name": "a user's", "price": 1})
                    item = int(answer.json()["id"]) if answer.status_code == 201 else 0
                except httpx.HTTPError:
                    item = 0
                self.log.append((sent, datetime.now(UTC), item))

    def acknowledged(self, since: datetime, until: datetime) -> set[int]:
        return {item for sent, answered, item in self.log if item and sent >= since and answered <= until}

    def first_success_after(self, moment: datetime) -> datetime:
        return next(answered for sent, answered, item in self.log if item and sent > moment)


@contextmanager
def writing(url: str) -> Iterator[User]:
    user = User(url)
    thread = threading.Thread(target=user.write)
    thread.start()
    try:
        yield user
    finally:
        user.ended.set()
        thread.join()


def ask(statement: str, values: list[Any] | None = None, host: str | None = None) -> list[tuple[Any, ...]]:
    """Of the database that serves, or of the one at another host."""
    found = secretsmanager.read_value(f"{PROJECT}-dev-db")
    assert found
    with closing(
        psycopg2.connect(
            host=host or found["host"],
            port=found["port"],
            dbname=found["dbname"],
            user=found["username"],
            password=found["password"],
        )
    ) as session:
        session.autocommit = True
        with session.cursor() as sql:
            sql.execute(statement, values)
            return sql.fetchall() if sql.description else []


@pytest.fixture(scope="module")
def built(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """An environment that runs the real application from its first instance on."""
    with build(tmp_path_factory.mktemp("story") / "lab", prefect_server, ROOT) as made, reaching(made["env"]):
        assert set_up_verifier("dev", return_state=True).is_completed()  # type: ignore[call-overload]
        yield made


def damage() -> datetime:
    ((moment,),) = ask("select clock_timestamp()")
    ask("delete from items where id in (select id from items order by id limit %s)", [DELETED])
    found: datetime = moment
    return found.astimezone(UTC)


def told(built: dict[str, Any]) -> str:
    answer = httpx.post(f"{built['prefect']}/artifacts/filter", json={"limit": 200, "sort": "CREATED_DESC"})
    pages = [one["data"] for one in answer.raise_for_status().json() if one["key"] == "recover-database-dev"]
    return str(pages[0])


def test_rows_deleted_by_accident_come_back_and_the_report_is_what_users_saw(built: dict[str, Any]) -> None:
    where, original = describe_environment.fn("dev"), find_resource_id("dev")
    with Load(f"{where.alb_url}/items", rate=20) as readers, writing(where.alb_url) as user:
        while len(user.log) < 10 * DELETED:
            time.sleep(0.1)
        damaged_at = damage()
        state = recover_database("dev", damaged_at.isoformat(), return_state=True)  # type: ignore[call-overload]
        time.sleep(1)
    assert state.is_completed(), state.message
    done, report = marker(), told(built)
    require_nothing_lost_but_what_is_named(user, done, report)
    require_true_times(user, done, report, damaged_at)
    assert readers.result["failed"] > 0
    assert find_resource_id("dev") == done.copy
    assert check_environment("dev", return_state=True).is_completed()  # type: ignore[call-overload]

    refused = undo_recovery("dev", return_state=True)  # type: ignore[call-overload]
    assert "expected nobody to have written" in refused.message
    undo = {"environment": "dev", "accept_loss": True}
    assert [killing.run(at, "flows.undo_recovery", undo, mortal(built)) for at in ("before:plan", "never")] == RESUMED
    assert find_resource_id("dev") == original

    again = {"environment": "dev", "damaged_at": damage().isoformat(), "cut_over": "endpoint"}
    killed = [killing.run(at, "flows.recover_database", again, mortal(built)) for at in ("before:move_record", "never")]
    assert killed == RESUMED
    assert find_resource_id("dev") == marker().copy
    assert marker().copy not in (original, done.copy)
    assert deploy_infrastructure("dev", return_state=True).is_completed()  # type: ignore[call-overload]
    assert find_resource_id("dev") == marker().copy


def require_nothing_lost_but_what_is_named(user: User, done: Recovery, report: str) -> None:
    """Every row and heartbeat up to the point is there; the damaged instance is kept, and has what is named as lost."""
    point, closed = datetime.fromisoformat(done.point), datetime.fromisoformat(done.closed_at)
    damaged = endpoint(done.damaged_id)
    here, there = (dict(ask(CHAIN, [point], host)) for host in (None, damaged))
    assert here == there
    assert user.acknowledged(user.log[0][0], point) <= {item for (item,) in ask("select id from items")}
    lost = {item for (item,) in ask("select id from items where created_at > %s", [point], damaged)}
    assert user.acknowledged(point + SECOND, closed) <= lost
    assert f"{len(lost)} of items" in report


def require_true_times(user: User, done: Recovery, report: str, damaged_at: datetime) -> None:
    """From the damage to the first write that a user got through; and nobody wrote in between."""
    closed, let_in = datetime.fromisoformat(done.closed_at), datetime.fromisoformat(done.let_in_at)
    assert user.acknowledged(closed, let_in) == set()
    told = re.search(r"RTO: (\d+) s", report)
    assert told
    seen = (user.first_success_after(closed) - damaged_at).total_seconds()
    assert seen - NOTICED_SECONDS <= float(told[1]) <= seen + PROVEN_SECONDS
    assert f"RPO: lost is what was written after {done.point}, up to {done.closed_at}" in report


def marker() -> Recovery:
    found = recovery.find("dev")
    assert found
    return found


def endpoint(name: str) -> str:
    (found,) = aws.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return str(found["Endpoint"]["Address"])


def mortal(built: dict[str, Any]) -> dict[str, str]:
    return killing.variables(built["env"], built["prefect"])
