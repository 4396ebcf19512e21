"""A cut is exact, or says that it is not; the proof is a point-in-time restore to its moment while others write."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg2
import pytest

from lab import base_backup
from lab.postgres import Cluster, free_port
from tasks.content import compare_with_baseline
from tasks.content_baseline import ContentBaseline, take_baseline
from tasks.postgres import ask
from tasks.quiet_moment import open_quiet_moment
from tests.databases import address, cluster_with_verifier, make_database, make_verifier, reading, write

ACCOUNTS = """
create table accounts (id int primary key, worth int not null, updated_at timestamptz not null default now());
insert into accounts select n, 100 from generate_series(1, 50) n"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    yield from cluster_with_verifier(max_prepared_transactions="2")


@pytest.fixture(scope="module")
def database(cluster: Cluster) -> str:
    return make_database(cluster, ACCOUNTS)


def test_a_moment_in_which_nobody_writes_is_exact(cluster: Cluster, database: str) -> None:
    reader = psycopg2.connect(cluster.dsn(database))
    try:
        reader.cursor().execute("select * from accounts for key share skip locked limit 0")
        with open_quiet_moment(address(cluster, database)) as (session, cut):
            write(cluster, database, "insert into accounts values (1000, 1)")
            assert cut.is_exact
            assert cut.width.total_seconds() == 0
            assert ask(session, "select count(*) from public.accounts") == [(50,)]
    finally:
        reader.close()
        write(cluster, database, "delete from accounts where id = 1000")


def test_a_writer_that_the_snapshot_does_not_list_is_seen(cluster: Cluster, database: str) -> None:
    writer = psycopg2.connect(cluster.dsn(database))
    try:
        writer.cursor().execute("update accounts set worth = worth where id = 1")
        with open_quiet_moment(address(cluster, database), patience_seconds=0.2) as (session, cut):
            listed = "select count(*) from pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot())"
            assert ask(session, listed) == [(0,)]
            assert not cut.is_exact
            assert cut.earliest < cut.taken_at < cut.latest
            assert "somebody was writing" in str(cut)
    finally:
        writer.close()


def test_a_prepared_transaction_is_a_writer(cluster: Cluster, database: str) -> None:
    write(cluster, database, "begin; update accounts set worth = worth where id = 2; prepare transaction 'later'")
    try:
        with open_quiet_moment(address(cluster, database), patience_seconds=0.1) as (_, cut):
            assert not cut.is_exact
    finally:
        cluster.query("rollback prepared 'later'", database=database)


def test_a_commit_between_the_snapshot_and_the_whole_second_is_seen(cluster: Cluster, database: str) -> None:
    with open_quiet_moment(address(cluster, database), whole_second=True) as (_, cut):
        assert cut.is_exact
        assert cut.taken_at.microsecond == 0
    with (
        writers(cluster, database, longest_pause_seconds=0.01),
        open_quiet_moment(address(cluster, database), patience_seconds=0.1, whole_second=True) as (_, cut),
    ):
        assert not cut.is_exact


@contextmanager
def writers(cluster: Cluster, database: str, longest_pause_seconds: float) -> Iterator[None]:
    """Three sessions that move worth between accounts, in transactions of one to five statements."""
    done = threading.Event()

    def move(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311
        opened = psycopg2.connect(cluster.dsn(database))
        while not done.is_set():
            with opened, opened.cursor() as cursor:
                for one in sorted(chance.sample(range(1, 51), chance.randint(1, 5))):
                    cursor.execute("update accounts set worth = worth + 1, updated_at = now() where id = %s", (one,))
            time.sleep(chance.uniform(0, longest_pause_seconds))
        opened.close()

    threads = [threading.Thread(target=move, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@contextmanager
def restored_to(source: Cluster, backup: Path, moment: datetime, inclusive: bool) -> Iterator[Cluster]:
    """What a point-in-time restore makes of a base backup and the log."""
    root = backup.with_name(f"restored-{inclusive}")
    restored = Cluster(root, port=free_port("127.0.0.1"), password=source.password)
    restored.create(template=backup)
    restored.configure(
        {
            "restore_command": f'cp "{source.archive}/%f" "%p"',
            "recovery_target_time": moment.isoformat(),
            "recovery_target_inclusive": "on" if inclusive else "off",
            "recovery_target_action": "promote",
        }
    )
    (restored.data / "recovery.signal").touch()
    try:
        restored.start()
        while restored.query("select pg_is_in_recovery()") == [(True,)]:
            time.sleep(0.05)
        yield restored
    finally:
        restored.remove()


def test_a_point_in_time_restore_to_the_moment_holds_just_what_the_cut_shows_while_others_write(tmp_path: Path) -> None:
    with Cluster.temporary() as source:
        source.stop()
        source.configure({"checkpoint_timeout": "30s"}, archive=True)
        source.start()
        make_verifier(source)
        database = make_database(source, ACCOUNTS)
        backup = source.root.parent / "backup"
        base_backup.take(source, backup)
        taken: list[ContentBaseline] = []
        with writers(source, database, longest_pause_seconds=0.05):
            while len(taken) < 2:
                with open_quiet_moment(address(source, database), whole_second=False) as (session, cut):
                    assert cut.is_exact, cut
                    taken.append(take_baseline(session, cut))
                time.sleep(0.3)
        source.query("select pg_switch_wal()")
        for baseline, inclusive in zip(taken, (True, False), strict=True):
            with (
                restored_to(source, backup, baseline.cut.taken_at, inclusive) as restored,
                reading(restored, database) as session,
            ):
                assert compare_with_baseline(session, baseline).verdict.is_good
        with reading(source, database) as session:
            assert not compare_with_baseline(session, taken[0]).verdict.is_good
