import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg2.extensions import connection

from app import close_app
from tests.app.serving import eventually


@pytest.fixture
def crowded(start: Callable[..., Flask], url: str, database: connection) -> Callable[..., FlaskClient]:
    """Clients of an application with two connections, both free: its heartbeat, which needs one, was written."""

    def create(wait_s: str) -> FlaskClient:
        limits = {"DB_POOL_MIN_CONN": "1", "DB_POOL_MAX_CONN": "2", "DB_POOL_WAIT_S": wait_s}
        client = start(DATABASE_URL=url, **limits).test_client()
        eventually(lambda: client.get("/ready").status_code == 200)
        eventually(lambda: beats(database) and taken(client) == 0)
        return client

    return create


@contextmanager
def locked(database: connection) -> Iterator[None]:
    """While it lasts, every query of items waits."""
    with database.cursor() as sql:
        sql.execute("begin; lock table items in access exclusive mode")
        yield
        sql.execute("rollback")


def ask(client: FlaskClient, _number: int) -> int:
    return client.application.test_client().get("/items").status_code


def test_requests_wait_for_a_connection_when_the_pool_is_exhausted(
    crowded: Callable[..., FlaskClient], database: connection
) -> None:
    client = crowded(wait_s="5")
    with ThreadPoolExecutor(20) as crowd:
        with locked(database):
            answers = [crowd.submit(ask, client, number) for number in range(20)]
            time.sleep(0.5)
            assert not any(answer.done() for answer in answers)
        assert [answer.result() for answer in answers] == [200] * 20


def test_who_waits_longer_than_the_deadline_is_asked_to_come_back(
    crowded: Callable[..., FlaskClient], database: connection
) -> None:
    client = crowded(wait_s="0.3")
    with ThreadPoolExecutor(2) as crowd:
        with locked(database):
            holders = [crowd.submit(ask, client, number) for number in range(2)]
            eventually(lambda: taken(client) == 2)
            began = time.monotonic()
            refused = client.get("/items")
            assert 0.25 < time.monotonic() - began < 2
        assert [holder.result() for holder in holders] == [200, 200]
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (503, "database_busy")
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.get("/items").status_code == 200


def test_the_pool_opens_no_more_connections_than_it_may_and_keeps_them(
    crowded: Callable[..., FlaskClient], database: connection
) -> None:
    client = crowded(wait_s="5")
    with ThreadPoolExecutor(20) as crowd:
        list(crowd.map(lambda number: ask(client, number), range(100)))
    first = sessions(database)
    assert len(first) <= 2
    with ThreadPoolExecutor(20) as crowd:
        list(crowd.map(lambda number: ask(client, number), range(100)))
    assert first <= sessions(database)


def test_a_query_that_never_ends_is_cancelled(start: Callable[..., Flask], url: str, database: connection) -> None:
    client = start(DATABASE_URL=url, DB_QUERY_S="0.3").test_client()
    eventually(lambda: client.get("/ready").status_code == 200)
    with locked(database):
        slow = client.get("/items")
    assert (slow.status_code, slow.get_json()["error"]["code"]) == (503, "database_slow")
    assert client.get("/items").status_code == 200


def test_connections_killed_one_by_one_are_replaced(client: FlaskClient, database: connection) -> None:
    for _ in range(3):
        with database.cursor() as sql:
            sql.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        time.sleep(0.15)
        assert client.get("/items").status_code == 200


def test_closing_the_application_leaves_no_session_behind(
    start: Callable[..., Flask], url: str, database: connection
) -> None:
    app = start(DATABASE_URL=url)
    eventually(lambda: app.test_client().get("/ready").status_code == 200)
    assert sessions(database)
    close_app(app)
    eventually(lambda: not sessions(database))
    assert "keeper" not in {thread.name for thread in threading.enumerate()}


def beats(database: connection) -> int:
    with database.cursor() as sql:
        sql.execute("select count(*) from heartbeats")
        return int(sql.fetchall()[0][0])


def taken(client: FlaskClient) -> int:
    database = client.application.extensions["database"]
    return 2 - database._pool._slots.qsize()


def sessions(database: connection) -> set[int]:
    with database.cursor() as sql:
        sql.execute(
            "select pid from pg_stat_activity where datname = current_database() and application_name like 'app %'"
        )
        return {row[0] for row in sql.fetchall()}
