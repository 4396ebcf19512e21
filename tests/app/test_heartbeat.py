import hashlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection

from app.heartbeat import beat
from app.schema import migrate
from tests.app.serving import PROJECT, Service, eventually

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
WRITER = """
import sys, psycopg2
from datetime import UTC, datetime, timedelta
from app.heartbeat import beat
database = psycopg2.connect(sys.argv[1])
sys.stdin.readline()
noon = datetime(2026, 1, 15, 12, tzinfo=UTC)
print(sum(beat(database, sys.argv[2], noon + timedelta(minutes=n)) for n in range(60)))
"""


@pytest.fixture
def database(database: connection) -> connection:
    migrate(database)
    return database


def chain(database: connection) -> list[tuple[Any, ...]]:
    with database.cursor() as sql:
        sql.execute(
            "select minute, sequence, written_at, instance, digest, intact from heartbeat_chain order by sequence"
        )
        return sql.fetchall()


def test_a_minute_is_written_once(database: connection) -> None:
    assert beat(database, "i-1", NOON)
    assert not beat(database, "i-2", NOON)
    assert [(row[0], row[1], row[3]) for row in chain(database)] == [(NOON, 1, "i-1")]


def test_a_minute_that_has_passed_is_not_written_later(database: connection) -> None:
    beat(database, "i-1", NOON)
    assert not beat(database, "i-2", NOON - timedelta(minutes=1))
    assert len(chain(database)) == 1


def test_without_a_minute_the_database_s_clock_counts(database: connection) -> None:
    assert beat(database, "i-1")
    [(minute, _, written_at, *_)] = chain(database)
    assert minute == written_at.replace(second=0, microsecond=0)


def test_each_digest_covers_its_row_and_the_one_before(database: connection) -> None:
    for number in range(3):
        beat(database, "i-1", NOON + timedelta(minutes=number))
    previous = ""
    for minute, sequence, written_at, instance, digest, intact in chain(database):
        written = f"{written_at:%Y-%m-%dT%H:%M:%S.%fZ}"
        text = f"{previous}|{sequence}|{minute:%Y-%m-%dT%H:%M:%SZ}|{written}|{instance}"
        assert digest == hashlib.sha256(text.encode()).hexdigest()
        assert intact
        previous = digest


@pytest.mark.parametrize(
    "tampering",
    [
        "update heartbeats set instance = 'i-9' where sequence = 3",
        "update heartbeats set written_at = written_at - interval '1 s' where sequence = 3",
        "delete from heartbeats where sequence = 3",
    ],
)
def test_a_changed_or_missing_row_breaks_the_chain_in_one_place(database: connection, tampering: str) -> None:
    for number in range(5):
        beat(database, "i-1", NOON + timedelta(minutes=number))
    assert all(row[-1] for row in chain(database))
    with database.cursor() as sql:
        sql.execute(tampering)
    assert [row[-1] for row in chain(database)].count(False) == 1


def test_three_processes_write_one_row_a_minute_without_holes(url: str, database: connection) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, f"i-{number}"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert sum(int(writer.communicate()[0]) for writer in writers) == 60
    rows = chain(database)
    assert [row[1] for row in rows] == list(range(1, 61))
    assert [row[0] for row in rows] == [NOON + timedelta(minutes=number) for number in range(60)]
    assert all(row[-1] for row in rows)


def test_a_fleet_writes_the_current_minute_once(
    run_service: Callable[..., Service], url: str, database: connection
) -> None:
    fleet = [run_service(DATABASE_URL=url, INSTANCE_ID=f"i-{number}", WEB_CONCURRENCY="2") for number in range(2)]
    for service in fleet:
        eventually(lambda service=service: service.get("/ready").status_code == 200)
    eventually(lambda: chain(database))
    rows = chain(database)
    assert len({row[0] for row in rows}) == len(rows) <= 2
    assert all(row[-1] for row in rows)
