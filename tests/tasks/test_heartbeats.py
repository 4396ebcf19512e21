from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg2
import pytest
from psycopg2.extensions import connection

from app.heartbeat import beat
from app.schema import migrate
from lab.postgres import Cluster
from tasks.heartbeats import Freshness, judge_freshness

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
DATABASES = 6
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WRITE = """
insert into heartbeats
select %(minute)s, next, %(at)s, %(instance)s, heartbeat_digest(digest, next, %(minute)s, %(at)s, %(instance)s)
from (select coalesce(max(sequence), 0) + 1 as next, (array_agg(digest order by sequence desc))[1] as digest
      from heartbeats) as last
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.temporary() as running:
        running.query("create database made0")
        database = psycopg2.connect(running.dsn("made0"))
        migrate(database)
        database.close()
        for number in range(1, DATABASES):
            running.query(f"create database made{number} template made0")
        yield running


@pytest.fixture
def new_database(cluster: Cluster) -> Iterator[Callable[..., connection]]:
    """Sessions with heartbeats: from noon on, `minutes` of them, each 3 s late, but for those that are left out."""
    numbers = count()
    with ExitStack() as stack:

        def create(minutes: int = 10, without: range = range(0), instance: str = "i-1") -> connection:
            database = psycopg2.connect(cluster.dsn(f"made{next(numbers)}"))
            stack.callback(database.close)
            run(database, "delete from heartbeats")
            for number in range(minutes):
                if number not in without:
                    write(database, NOON + number * MINUTE, instance)
            return database

        yield create


def write(database: connection, minute: datetime, instance: str = "i-1") -> None:
    with database.cursor() as session:
        session.execute(WRITE, {"minute": minute, "at": minute + 3 * SECOND, "instance": instance})


def run(database: connection, statement: str) -> None:
    with database.cursor() as session:
        session.execute(statement)


def why(found: Freshness) -> str:
    return "; ".join(found.verdict.reasons)


def test_all_up_to_the_point_is_verified_and_the_rpo_is_measured(new_database: Callable[..., connection]) -> None:
    copy = new_database(10)
    run(copy, "set search_path to ''")
    found = judge_freshness(copy, NOON + 9 * MINUTE + 40 * SECOND)
    assert found.verdict.is_good
    assert found.rpo == (timedelta(0), 37 * SECOND)
    assert "10 heartbeats, number 1 to 10, the newest of 2026-01-15 12:09:03 UTC" in found.verdict.facts


def test_what_the_application_itself_writes_is_verified(new_database: Callable[..., connection]) -> None:
    copy = new_database(0)
    assert beat(copy, "i-1")
    found = judge_freshness(copy, datetime.now(UTC))
    assert found.verdict.is_good, why(found)


def test_a_copy_that_ends_before_the_point_is_too_old(new_database: Callable[..., connection]) -> None:
    copy, source = new_database(10), new_database(130)
    point = NOON + 129 * MINUTE + 30 * SECOND
    alone = judge_freshness(copy, point)
    assert "the newest heartbeat is of 2026-01-15 12:09:03 UTC, expected one of the last 80 s" in why(alone)
    compared = judge_freshness(copy, point, source=source)
    assert "120 heartbeats of the source are missing, of 2026-01-15 12:10:03 UTC to" in why(compared)
    assert compared.rpo == (119 * MINUTE + 27 * SECOND, 120 * MINUTE + 27 * SECOND)


def test_one_lost_heartbeat_is_a_loss_of_the_seconds_since_it_was_written(
    new_database: Callable[..., connection],
) -> None:
    found = judge_freshness(new_database(9), NOON + 9 * MINUTE + 15 * SECOND, source=new_database(10))
    assert "1 heartbeats of the source are missing" in why(found)
    assert found.rpo == (12 * SECOND, 72 * SECOND)


def test_a_heartbeat_that_was_being_written_at_the_point_may_be_there_or_not(
    new_database: Callable[..., connection],
) -> None:
    point, source = NOON + 9 * MINUTE + 5 * SECOND, new_database(10)
    assert judge_freshness(new_database(9), point, source=source).verdict.is_good
    assert judge_freshness(new_database(10), point, source=source).verdict.is_good


def test_a_heartbeat_after_the_point_is_told(new_database: Callable[..., connection]) -> None:
    found = judge_freshness(new_database(10), NOON + 5 * MINUTE)
    assert "5 heartbeats are newer than the restore point, up to that of 2026-01-15 12:09:03 UTC" in why(found)


def test_a_snapshot_s_moment_is_an_interval(new_database: Callable[..., connection]) -> None:
    began, ended = NOON + 5 * MINUTE + 30 * SECOND, NOON + 9 * MINUTE + 30 * SECOND
    source = new_database(20)
    for minutes in (6, 8, 10):
        found = judge_freshness(new_database(minutes), began, ended, source)
        assert found.verdict.is_good, why(found)
        assert found.rpo == (timedelta(0), ended - (NOON + (minutes - 1) * MINUTE + 3 * SECOND))
    assert not judge_freshness(new_database(5), began, ended, source).verdict.is_good
    assert not judge_freshness(new_database(11), began, ended, source).verdict.is_good


def test_an_application_that_was_down_is_a_fact_and_no_failure(new_database: Callable[..., connection]) -> None:
    copy = new_database(60, without=range(20, 32))
    found = judge_freshness(copy, NOON + 59 * MINUTE + 20 * SECOND)
    assert found.verdict.is_good
    assert "the application was silent 1 times, for 0:13:00 at most" in found.verdict.facts


def test_only_the_source_can_tell_that_the_application_was_down_at_the_point(
    new_database: Callable[..., connection],
) -> None:
    copy, source = new_database(10), new_database(40, without=range(10, 38))
    point = NOON + 30 * MINUTE
    assert not judge_freshness(copy, point).verdict.is_good
    found = judge_freshness(copy, point, source=source)
    assert found.verdict.is_good
    assert found.rpo == (timedelta(0), 21 * MINUTE - 3 * SECOND)


@pytest.mark.parametrize(
    "damage",
    [
        "delete from heartbeats where sequence = 5",
        "delete from heartbeats where sequence = 1",
        "update heartbeats set instance = 'i-9' where sequence = 5",
        "update heartbeats set sequence = 99 where sequence = 10",
        "update heartbeats set written_at = written_at + interval '1 microsecond' where sequence = 10",
    ],
)
def test_a_missing_or_changed_heartbeat_breaks_the_chain(new_database: Callable[..., connection], damage: str) -> None:
    copy = new_database(10)
    run(copy, damage)
    assert "the chain of heartbeats is broken in 1 places, first at" in why(judge_freshness(copy, NOON + 10 * MINUTE))


def test_another_database_is_told_by_its_digests_alone(new_database: Callable[..., connection]) -> None:
    source, other = new_database(10), new_database(10, instance="i-2")
    found = judge_freshness(other, NOON + 10 * MINUTE, source=source)
    assert "the source has no heartbeat number 10 with the copy's digest" in why(found)
    assert found.rpo is None
    assert judge_freshness(other, NOON + 10 * MINUTE).verdict.is_good


def test_a_database_without_heartbeats_is_not_fresh(new_database: Callable[..., connection]) -> None:
    copy = new_database(0)
    assert "there is no heartbeat, expected one a minute" in why(judge_freshness(copy, NOON))
    run(copy, "drop view heartbeat_chain")
    assert "there is no view heartbeat_chain" in why(judge_freshness(copy, NOON))
