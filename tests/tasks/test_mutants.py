import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection

from app.schema import migrate
from lab.postgres import Cluster
from tasks.catalogue import judge_catalogue, read_catalogue
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.heartbeats import judge_freshness
from tasks.mutants import MUTANTS, Catch, Connect, Mutant, verify_mutants
from tasks.mutations import Planted
from tasks.verdict import Verdict

Judge = Callable[[connection], list[Verdict]]
POINT = datetime(2026, 1, 15, 12, 0, 30, tzinfo=UTC)
MINUTES = 130
HEARTBEAT = """
insert into heartbeats
select %(at)s, next, %(at)s, 'i-1', heartbeat_digest(digest, next, %(at)s, %(at)s, 'i-1')
from (select coalesce(max(sequence), 0) + 1 as next, (array_agg(digest order by sequence desc))[1] as digest
      from heartbeats) as last
"""
ITEMS = """
insert into items (name, description, price, created_at, updated_at)
select 'item ' || n, 'no. ' || n, n, %(point)s - make_interval(mins => n), %(point)s - make_interval(mins => n)
from generate_series(1, 400) as n
"""
# The richest tables are the least willing ones: nothing but a key, referred to by others, named oddly.
OTHERS = """
create schema "Odd ""schema";
create table "Odd ""schema"."the order" (id serial primary key);
insert into "Odd ""schema"."the order" select from generate_series(1, 1000);
create table lines (number integer primary key, part integer references "Odd ""schema"."the order");
insert into lines select n, n from generate_series(1, 1000) as n;
create role reporting;
"""


def master_of(cluster: Cluster) -> None:
    """As RDS makes it: no superuser, and the owner of what the application has."""
    cluster.query("create role rds_superuser nologin")
    cluster.query("grant pg_monitor, pg_signal_backend to rds_superuser with admin option")
    cluster.query("create role master login createdb createrole password 'secret' in role rds_superuser")
    for name in ("copy", "empty"):
        cluster.query(f"create database {name} owner master")


@pytest.fixture(scope="module")
def open_copy() -> Iterator[Callable[[str], Connect]]:
    with Cluster.temporary() as running:
        master_of(running)

        def opener(name: str) -> Connect:
            where = f"host={running.host} port={running.port} user=master password=secret dbname={name}"

            @contextmanager
            def connect() -> Iterator[connection]:
                opened = psycopg2.connect(where, options="-c lock_timeout=5000")
                opened.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ)
                try:
                    yield opened
                finally:
                    opened.close()

            return connect

        for name in ("copy", "empty"):
            with opener(name)() as database:
                migrate(database)
        with opener("copy")() as database:
            fill(database)
        yield opener


def fill(database: connection) -> None:
    with database, database.cursor() as session:
        session.execute(ITEMS, {"point": POINT})
        session.execute(OTHERS)
        for number in range(MINUTES):
            session.execute(HEARTBEAT, {"at": POINT - timedelta(minutes=MINUTES - number - 1)})


@pytest.fixture
def connect(open_copy: Callable[..., Any]) -> Connect:
    made: Connect = open_copy("copy")
    return made


def content(database: connection) -> dict[str, str]:
    """Each table's rows, ordered by its key, as one digest: the layer L3 in small."""
    digests = {}
    with database.cursor() as session:
        session.execute("""
            select format('%I.%I', nspname, relname), relname, (
                select string_agg(quote_ident(attname), ', ') from pg_attribute
                where attrelid = pg_class.oid and attnum = any (indkey))
            from pg_class join pg_namespace on pg_namespace.oid = relnamespace join pg_index on indrelid = pg_class.oid
            where indisprimary and nspname !~ '^pg_' and nspname <> 'information_schema'""")
        for name, shown, key in session.fetchall():
            rows = io.BytesIO()
            query = f"select * from {name} order by {key}"  # noqa: S608 - quoted by PostgreSQL
            session.copy_expert(f"copy ({query}) to stdout (format binary)", rows)
            digests[shown] = hashlib.sha256(rows.getvalue()).hexdigest()
    return digests


@pytest.fixture
def judge(connect: Connect) -> Judge:
    with connect() as copy:
        catalogue, baseline = read_catalogue(copy), content(copy)

    def look(copy: connection) -> list[Verdict]:
        found = content(copy)
        differing = [f"table {name} differs" for name in baseline if found.get(name) != baseline[name]]
        return [
            judge_catalogue(copy, catalogue),
            judge_freshness(copy, POINT).verdict,
            Verdict("L3 content", tuple(differing)),
        ]

    return look


def by_layers(caught: Catch) -> dict[str, str]:
    return {one.mutant: " ".join(layer[:2] for layer in one.layers) for one in caught.attempts}


def test_all_ten_are_planted_caught_and_taken_back_with_the_rights_of_a_master_user(
    connect: Connect, judge: Judge
) -> None:
    with connect() as copy:
        before = read_catalogue(copy), content(copy)
    caught = verify_mutants(connect, judge)
    assert str(caught) == "10/10", caught.escaped
    assert caught.verdict.is_good
    assert caught.verdict.facts[0] == "mutants caught 10/10"
    assert "public.lines is gone; not elsewhere: update or delete on table" in caught.attempts[0].what
    assert by_layers(caught) == {
        "a row is dropped": "L3",
        "one bit is changed": "L3",
        "a table is truncated": "L3",
        "a sequence is reset": "L1",
        "an index is invalid": "L1",
        "a role is missing": "L1",
        "the restore is two hours too old": "L2 L3",
        "it is another database": "L3",
        "a column has another type": "L1",
        "two rows have exchanged their keys": "L3",
    }
    with connect() as copy:
        assert (read_catalogue(copy), content(copy)) == before


def test_a_verification_that_can_not_fail_is_told_so(connect: Connect, judge: Judge) -> None:
    blind = verify_mutants(connect, lambda copy: [verdict for verdict in judge(copy) if verdict.layer[:2] != "L3"])
    assert str(blind) == "5/10"
    assert "one bit is changed" in {one.mutant for one in blind.escaped}
    assert not blind.verdict.is_good
    assert "the mutant 'two rows have exchanged their keys' escaped: two rows of public.items" in "".join(
        blind.verdict.reasons
    )
    assert not verify_mutants(connect, judge, ()).verdict.is_good


def test_a_complaint_about_something_else_and_a_judgement_that_stops_are_no_catch(
    connect: Connect,
) -> None:
    looks = iter(range(100))

    def confused(copy: connection) -> list[Verdict]:
        with copy.cursor() as session:
            session.execute("select count(*) from pg_roles where rolname = 'reporting'")
            missing = session.fetchall() == [(0,)]
            if missing and next(looks) == 1:
                session.execute("select 1 / 0")
        return [Verdict("L1 catalogue", ("it is too warm",) if missing else ())]

    mutants = [mutant for mutant in MUTANTS if mutant.name == "a role is missing"] * 2
    caught = verify_mutants(connect, confused, mutants)
    assert str(caught) == "0/2"
    assert "the judgement was: it is too warm" in caught.escaped[0].escaped
    assert "division by zero" in caught.escaped[1].escaped


def test_what_can_not_be_planted_is_not_caught(open_copy: Callable[..., Any]) -> None:
    connect = open_copy("empty")
    with connect() as copy, copy, copy.cursor() as session:
        session.execute("delete from schema_migrations")
        reference = read_catalogue(copy)
    caught = verify_mutants(connect, lambda copy: [judge_catalogue(copy, reference)])
    assert by_layers(caught) == {
        mutant.name: "L1" if mutant.name in ("a role is missing", "a column has another type") else ""
        for mutant in MUTANTS
    }
    assert {one.what for one in caught.escaped} == {"not planted"}
    reasons = {one.mutant: one.escaped for one in caught.escaped}
    assert reasons["a row is dropped"] == "not planted; there is no table with a row that may go, expected one"
    assert "there are 0 tables heartbeats with rows" in reasons["it is another database"]


def test_a_copy_that_is_not_verified_proves_nothing(
    connect: Connect,
) -> None:
    with pytest.raises(PreconditionFailed, match="expected it to be before mutants: it is bad"):
        verify_mutants(connect, lambda _: [Verdict("L1 catalogue", ("it is bad",))])


def test_a_mutant_that_is_not_taken_back_condemns_the_copy(
    connect: Connect,
) -> None:
    @contextmanager
    def forever(connect: Callable[..., Any], tables: object) -> Iterator[tuple[connection, Planted]]:
        with connect() as copy:
            with copy, copy.cursor() as session:
                session.execute("create table left_behind (n integer)")
            yield copy, Planted("a table is too many", "left_behind")

    stubborn = Mutant("it stays", forever)
    with pytest.raises(VerificationFailed, match=r"is not what it was.*table public.left_behind is there"):
        verify_mutants(connect, lambda _: [], [stubborn])
    with connect() as copy, copy, copy.cursor() as session:
        session.execute("drop table left_behind")


def test_the_index_that_a_killed_run_left_is_removed(connect: Connect, judge: Judge) -> None:
    with connect() as copy:
        copy.autocommit = True
        with copy.cursor() as session, pytest.raises(psycopg2.errors.UniqueViolation):
            session.execute("create unique index concurrently runbook_mutant on items ((true))")
    with connect() as copy:
        assert "index public.runbook_mutant is there (invalid" in "".join(judge(copy)[0].reasons)
    verify_mutants(connect, judge, MUTANTS[:1])
    with connect() as copy:
        assert judge(copy)[0].is_good
