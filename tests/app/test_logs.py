import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg2.extensions import connection

from app import logs
from lab.postgres import Cluster
from tests.app.serving import Service, eventually

ALWAYS = {"timestamp", "level", "msg", "instance", "version"}
REQUEST = ALWAYS | {"method", "path", "status", "response_time_ms", "db_query_time_ms", "request_id"}
CANARY = "canary-7f3a"


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The request lines since the last call."""
    return lambda: [line for line in map(json.loads, capfd.readouterr().out.splitlines()) if "path" in line]


def test_a_request_is_one_line_with_the_fields_the_runbook_queries(
    client: FlaskClient, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    lines()
    answer = client.get("/items?limit=3", headers={"X-Request-Id": "abc-1"})
    [line] = lines()
    assert set(line) == REQUEST
    known = {"level": "INFO", "method": "GET", "path": "/items", "status": 200, "instance": "i-1", "version": "1.2.3"}
    assert known.items() <= line.items()
    assert 0 < line["db_query_time_ms"] < line["response_time_ms"]
    assert line["request_id"] == answer.headers["X-Request-Id"] == "abc-1"


def test_a_request_without_the_database_has_no_database_time(
    client: FlaskClient, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    lines()
    client.get("/")
    assert [line["db_query_time_ms"] for line in lines()] == [0]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678"}, "Root=1-67891233-abcdef012345678912345678"),
        ({"X-Request-Id": "mine", "X-Amzn-Trace-Id": "Root=1-2-3"}, "mine"),
    ],
)
def test_the_request_s_id_is_taken_over(
    client: FlaskClient, lines: Callable[[], list[dict[str, Any]]], headers: dict[str, str], expected: str
) -> None:
    lines()
    client.get("/", headers=headers)
    assert lines()[0]["request_id"] == expected


def test_nothing_a_client_sends_can_make_a_second_line_or_another_field(
    client: FlaskClient, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    lines()
    evil = '/x%0a{"level":"ERROR"}%0d%00%1b[31m","status":200,"x":"%e2%80%a8%ff'
    client.get(evil, headers={"X-Request-Id": '","level":"ERROR'})
    client.get("/" + "y" * 5000, headers={"X-Request-Id": "z" * 5000})
    first, second = lines()
    assert set(first) == set(second) == REQUEST
    assert (first["level"], first["status"]) == ("INFO", 404)
    assert first["path"].startswith('/x\n{"level":"ERROR"}\r\0')
    assert len(json.dumps(second)) < 2000
    assert all(len(line["request_id"]) == 16 for line in (first, second))


def test_a_fault_is_a_500_in_json_and_an_error_line_that_says_where(
    client: FlaskClient, database: connection, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    with database.cursor() as sql:
        sql.execute("drop table items")
    lines()
    answer = client.get("/items")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (500, "internal_error")
    assert "items" not in answer.get_json()["error"]["message"]
    [line] = lines()
    assert set(line) == REQUEST | {"error"}
    assert (line["level"], line["msg"], line["status"]) == ("ERROR", "unexpected error", 500)
    assert line["error"].startswith('UndefinedTable: relation "items" does not exist')


def test_a_query_string_is_not_logged(client: FlaskClient, lines: Callable[[], list[dict[str, Any]]]) -> None:
    lines()
    client.get(f"/items?token={CANARY}")
    assert CANARY not in json.dumps(lines())


def test_gunicorn_speaks_in_the_same_lines(service: Service) -> None:
    started = [line for line in service.lines() if line["msg"].startswith("Starting gunicorn")]
    assert [set(line) for line in started] == [ALWAYS]
    assert all(set(line) >= ALWAYS for line in service.lines())


def test_a_cause_is_told_and_a_suppressed_one_is_not() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("two\nlines") from error
    except ValueError as error:
        told = logs.describe(error)
    assert told.startswith("ValueError: two lines (test_logs.py:")
    assert " <- KeyError: 'inner' (test_logs.py:" in told


@pytest.mark.parametrize(
    "broken",
    [
        "postgresql://someone:{canary}@{host}:{port}/postgres",
        "postgresql://someone:{canary}@{host}:1/postgres",
        "postgresql://someone:{canary}@no-such-host.invalid:{port}/postgres",
        "postgresql://someone:{canary}@{host}:{port}/postgres?nonsense={canary}",
        "postgresql:/someone:{canary}@{host}/postgres",
        "host={host} port={port} password='{canary}",
        "{canary}",
    ],
)
def test_no_secret_reaches_a_log_line_or_an_answer(
    start: Callable[..., Flask], cluster: Cluster, capfd: pytest.CaptureFixture[str], broken: str
) -> None:
    url = broken.format(canary=CANARY, host=cluster.host, port=cluster.port)
    client = start(DATABASE_URL=url).test_client()
    eventually(lambda: client.get("/ready").get_json()["reason"] != "the database was not looked for yet")
    answers = "".join(client.get(path).get_data(as_text=True) for path in ("/health", "/ready", "/items", "/"))
    client.get(f"/{CANARY}")  # even where a client sends it
    output = capfd.readouterr()
    assert "database not ready" in output.out
    assert CANARY not in answers + output.out + output.err
