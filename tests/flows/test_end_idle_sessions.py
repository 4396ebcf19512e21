"""A real database in a connection storm: who does nothing goes; who works stays, and who must not be touched."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import psycopg2
import pytest
from prefect.client.schemas.objects import State
from psycopg2.extras import PhysicalReplicationConnection
from pydantic import SecretStr

from flows.end_idle_sessions import end_idle_sessions
from lab.postgres import Cluster
from tasks import sessions
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed
from tasks.postgres import Address
from tests import killing
from tests.stack import mirror_as_prod
from tests.storm import PASSWORD, Storm, is_alive

AT_ONCE = 0.001 / 60  # minutes
FLOW = "flows.end_idle_sessions"


@pytest.fixture(autouse=True)
def _let_go(storm: Storm) -> Iterator[None]:
    yield
    storm.let_go()
    httpx.delete(f"{storm.stack.lab['url']}/lab/faults").raise_for_status()


def end(environment: str = "dev", **how: Any) -> State[Any]:
    return end_idle_sessions(environment, return_state=True, **{"idle_minutes": AT_ONCE, **how})  # type: ignore[call-overload]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def test_a_dry_run_counts_and_the_run_after_it_ends_who_is_idle_and_nobody_else(storm: Storm) -> None:
    idle, waiting = storm.hold(), storm.hold(in_transaction=True)
    runbooks, working = storm.hold("runbook"), storm.connect()
    with closing(working):
        busy = threading.Thread(target=lambda: _sleep(working))
        busy.start()
        dry = end(dry_run=True)
        assert dry.is_completed(), dry.message
        assert all(is_alive(one) for one in (idle, runbooks))

        plan = sessions.plan_end.fn("dev", AT_ONCE)
        assert [one.state for one in plan.sessions] == ["idle in transaction", "idle"]
        assert plan.hash == message(dry)
        done = end()
        assert done.is_completed(), done.message
        assert [is_alive(one) for one in (idle, waiting, runbooks)] == [False, False, True]
        busy.join()
        assert is_alive(working)
    assert end().is_completed()


def _sleep(session: Any) -> None:
    with session.cursor() as cursor:
        cursor.execute("select pg_sleep(8)")


def test_who_was_idle_for_less_stays_and_so_does_who_worked_since_it_was_shown(storm: Storm) -> None:
    back, away = storm.hold(), storm.hold()
    assert end(idle_minutes=10).is_completed()
    plan = sessions.plan_end.fn("dev", AT_ONCE)
    assert is_alive(back)
    assert sessions.terminate_backends.fn("dev", plan.sessions) == 1
    assert [is_alive(one) for one in (back, away)] == [True, False]


def test_rdss_own_sessions_and_superusers_are_never_ended(storm: Storm) -> None:
    with closing(storm.connect("runbook")) as session:
        run_as_master(session, "create role rdsownspy login password %s", PASSWORD)
        try:
            with closing(storm.connect(user="rdsownspy")) as own:
                assert end().is_completed()
                assert is_alive(own)
        finally:
            run_as_master(session, "drop role rdsownspy")


def test_superusers_and_replication_are_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with Cluster.temporary() as cluster:
        cluster.query("create role master login password 'm' in role pg_monitor, pg_signal_backend")
        master = Address(cluster.host, cluster.port, "postgres", "master", SecretStr("m"))
        monkeypatch.setattr(sessions, "read_master_address", lambda _: master)
        with (
            closing(psycopg2.connect(cluster.dsn())),
            closing(psycopg2.connect(cluster.dsn(), connection_factory=PhysicalReplicationConnection)),
            closing(psycopg2.connect(cluster.dsn(), user="master", password="m")) as idle,
        ):
            idle.set_session(autocommit=True)
            assert is_alive(idle)
            plan = sessions.plan_end.fn("dev", AT_ONCE)
            assert ([one.user for one in plan.sessions], plan.used) == (["master"], 3)


def run_as_master(session: Any, statement: str, *values: str) -> None:
    with session, session.cursor() as cursor:
        cursor.execute(statement, values)


def test_where_every_connection_is_taken_the_run_waits_for_one_or_says_who_to_ask(
    storm: Storm, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm.hold_all()
    assert storm.is_refused()
    monkeypatch.setattr(sessions, "ENTER_SECONDS", 1)
    refused = end()
    assert refused.is_failed()
    assert "connection slots" in message(refused)
    assert "flows.refresh_instances" in message(refused)
    assert PASSWORD not in message(refused)

    monkeypatch.setattr(sessions, "ENTER_SECONDS", 60)
    leaves = threading.Timer(2, storm.held.pop().close)
    leaves.start()
    done = end()
    leaves.join()
    assert done.is_completed(), done.message
    assert not storm.is_refused()
    assert not any(is_alive(one) for one in storm.held)


def test_a_user_who_does_not_see_what_others_do_is_refused_and_nobody_is_ended(storm: Storm) -> None:
    idle = storm.hold()
    secrets, name = storm.stack.clients("secretsmanager"), f"{PROJECT}-dev-db"
    before = secrets.get_secret_value(SecretId=name)["SecretString"]
    reader = json.dumps({**json.loads(before), "username": "reader"})
    secrets.put_secret_value(SecretId=name, SecretString=reader)
    try:
        with pytest.raises(PreconditionFailed, match="pg_monitor"):
            sessions.plan_end.fn("dev", AT_ONCE)
        assert end().is_failed()
    finally:
        secrets.put_secret_value(SecretId=name, SecretString=before)
    assert is_alive(idle)


def test_green_only_when_the_service_was_seen_to_be_well(storm: Storm) -> None:
    idle = storm.hold()
    storm.stack.fault(match="acm:GetCertificate", kind="error", code="AccessDeniedException")
    assert end().is_failed()
    assert not is_alive(idle)


def test_prod_asks_a_person_and_an_approval_of_another_rule_is_none(storm: Storm) -> None:
    idle = storm.hold()
    mirror_as_prod(storm.stack.clients)
    clients = storm.stack.clients
    address = clients("secretsmanager").get_secret_value(SecretId=f"{PROJECT}-dev-db")["SecretString"]
    clients("secretsmanager").create_secret(Name=f"{PROJECT}-prod-db", SecretString=address)
    other = message(end("prod", idle_minutes=7, dry_run=True))
    assert end("prod", approved_plan=other).is_cancelled()
    assert is_alive(idle)
    right = message(end("prod", dry_run=True))
    assert end("prod", approved_plan=right).is_completed()
    assert not is_alive(idle)


def test_killed_at_every_task_boundary_it_ends_them_all_and_nobody_else(
    storm: Storm, storm_environment: dict[str, str]
) -> None:
    held = [storm.hold() for _ in range(3)]
    killing.kill_everywhere(FLOW, {"environment": "dev", "idle_minutes": AT_ONCE}, storm_environment)
    assert not any(is_alive(one) for one in held)
