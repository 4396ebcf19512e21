import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from psycopg2.extensions import connection

from app.schema import SCHEMA_MAX, SCHEMA_MIN, Migration, SchemaMismatch, migrate, migrations, plan_migrations
from tests.app.serving import PROJECT, eventually

ONE, TWO = Migration(1, "0001_one", "select 1"), Migration(2, "0002_two", "select 2")
RACER = """
import sys, psycopg2
from app.schema import migrate
database = psycopg2.connect(sys.argv[1])
sys.stdin.readline()
print(len(migrate(database)))
"""


def test_only_what_is_missing_is_planned() -> None:
    assert plan_migrations({}, (ONE, TWO)) == [ONE, TWO]
    assert plan_migrations({1: ONE.checksum}, (ONE, TWO)) == [TWO]
    assert plan_migrations({1: ONE.checksum, 2: TWO.checksum}, (ONE, TWO)) == []


def test_a_newer_schema_and_a_rewritten_migration_are_refused() -> None:
    with pytest.raises(SchemaMismatch, match=f"schema version is {SCHEMA_MAX + 1}, expected"):
        plan_migrations({SCHEMA_MAX + 1: "?"}, (ONE, TWO))
    with pytest.raises(SchemaMismatch, match="0001_one was applied with another text"):
        plan_migrations({1: "?"}, (ONE, TWO))


def test_the_migrations_are_numbered_without_gaps_and_end_in_the_release_s_range() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))
    assert SCHEMA_MIN <= len(migrations()) <= SCHEMA_MAX


def test_the_image_s_labels_tell_the_release_s_range() -> None:
    labels = dict(re.findall(r'LABEL app\.schema\.(\w+)="(\d+)"', Path(PROJECT / "Dockerfile").read_text()))
    assert labels == {"minimum": str(SCHEMA_MIN), "maximum": str(SCHEMA_MAX)}


def test_processes_that_start_at_once_apply_each_migration_once(url: str, database: connection) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, url], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    with database.cursor() as sql:
        sql.execute("select count(*) from pg_stat_activity where datname = current_database()")
        eventually(lambda: sql.execute(sql.query) or sql.fetchall() == [(5,)])
        applied = sorted(int(racer.communicate("go\n")[0]) for racer in racers)
        assert applied == [0, 0, 0, len(migrations())]
        sql.execute("select version, name, checksum from schema_migrations order by version")
        assert sql.fetchall() == [(known.version, known.name, known.checksum) for known in migrations()]


def test_a_migration_that_fails_leaves_nothing_behind(database: connection) -> None:
    with database.cursor() as sql:
        sql.execute("create table heartbeats (in_the_way int)")
        with pytest.raises(Exception, match="already exists"):
            migrate(database)
        sql.execute("select to_regclass('items'), to_regclass('schema_migrations')")
        assert sql.fetchall() == [(None, None)]


def test_a_release_never_becomes_healthy_on_a_schema_it_does_not_know(
    start: Callable[..., Flask], url: str, database: connection
) -> None:
    migrate(database)
    newer = SCHEMA_MAX + 1
    with database.cursor() as sql:
        sql.execute("insert into schema_migrations (version, name, checksum) values (%s, 'later', '')", (newer,))
    client = start(DATABASE_URL=url).test_client()
    reason = f"schema version is {newer}, expected {SCHEMA_MIN} to {SCHEMA_MAX}"
    eventually(lambda: (client.get("/ready").get_json() or {})["reason"] == reason)
    assert (client.get("/ready").status_code, client.get("/health").status_code) == (503, 503)
    assert client.get("/health").get_json()["status"] == "starting"


def test_a_schema_that_a_later_release_moved_on_ends_readiness_but_not_life(
    start: Callable[..., Flask], url: str, database: connection
) -> None:
    client = start(DATABASE_URL=url).test_client()
    eventually(lambda: client.get("/ready").status_code == 200)
    with database.cursor() as sql:
        sql.execute(
            "insert into schema_migrations (version, name, checksum) values (%s, 'later', '')", (SCHEMA_MAX + 1,)
        )
    assert client.get("/ready").status_code == 503
    assert client.get("/ready").get_json()["schema"]["version"] == SCHEMA_MAX + 1
    assert (client.get("/health").status_code, client.get("/items").status_code) == (200, 200)
