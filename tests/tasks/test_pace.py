"""Reading makes way for the source: it pauses while the source is slow, and gives up when it stays so."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg2.extensions import connection

from lab.postgres import Cluster
from tasks.errors import PreconditionFailed
from tasks.fingerprint import sum_buckets
from tasks.pace import Pace
from tasks.tables import list_tables
from tests.databases import cluster_with_verifier, make_database, reading


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    yield from cluster_with_verifier()


@contextmanager
def slow(session: connection, seconds: float) -> Iterator[None]:
    """The process that serves this session gets next to no time, for so long."""
    server = session.info.backend_pid
    ends = time.monotonic() + seconds
    held = threading.Event()

    def hold() -> None:
        while time.monotonic() < ends:
            os.kill(server, signal.SIGSTOP)
            held.set()
            time.sleep(0.2)
            os.kill(server, signal.SIGCONT)
            time.sleep(0.0005)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        yield
    finally:
        thread.join()


def test_reading_pauses_while_the_source_is_slow_and_goes_on_when_it_is_well(cluster: Cluster) -> None:
    database = make_database(cluster, "create table t as select generate_series(1, 1000) as id")
    with reading(cluster, database) as session:
        (table,) = list_tables(session).tables
        pace = Pace(session)
        with slow(session, 1.0):
            buckets = sum_buckets(session, table, 63, pace=pace)
        assert sum(part.rows for part in buckets.values()) == 1000
        assert (pace.statements, pace.pauses) == (1, 1)
        assert pace.paused_seconds > 0
        assert "1 pauses" in str(pace)


def test_a_source_that_stays_slow_is_left_alone(cluster: Cluster) -> None:
    with reading(cluster, "postgres") as session:
        pace = Pace(session, patience_seconds=0.2)
        with slow(session, 1.5), pytest.raises(PreconditionFailed, match=r"given up, for the source's sake.*slow"):
            pace.keep()
