"""A cluster is a real server, whoever runs it, and ends with its owner."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg2
import pytest

from lab import base_backup
from lab.postgres import Cluster, ClusterFailedError

PROJECT = Path(__file__).parents[2]
NOBODY = 65534
BECOME_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
PROGRAM = """
import os, sys, time
from lab import base_backup
from lab.postgres import Cluster
with Cluster.temporary() as pg:
    pg.query("CREATE TABLE t AS SELECT 42 AS n")
    print(os.geteuid(), pg.query("SELECT n FROM t")[0][0], pg.process.pid, pg.root, flush=True)
    if "wait" in sys.argv: time.sleep(60)
"""


def test_nothing_outlives_a_temporary_cluster() -> None:
    with Cluster.temporary() as pg:
        assert pg.process is not None
        family = [psutil.Process(pg.process.pid), *psutil.Process(pg.process.pid).children(recursive=True)]
        assert len(family) > 1
        psycopg2.connect(pg.dsn())  # left open on purpose
        assert pg.query("SELECT current_user") == [("rdsadmin",)]
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    assert not pg.root.exists()


def test_data_survives_a_restart_and_a_crash() -> None:
    with Cluster.temporary() as pg:
        pg.query("CREATE TABLE kept AS SELECT 1 AS n")
        pg.stop()
        assert not pg.running
        pg.start()
        pg.query("INSERT INTO kept VALUES (2)")
        pg.stop(signal.SIGQUIT)
        pg.start()
        assert pg.query("SELECT count(*) FROM kept") == [(2,)]


def test_ssl_works_and_can_be_forced() -> None:
    with Cluster.temporary() as pg:
        if not pg.binaries.has_ssl:
            pytest.skip("this PostgreSQL is built without SSL")
        pg.query("CREATE ROLE someone LOGIN PASSWORD 'someone'")
        pg.configure({}, force_ssl=True)
        pg.reload()
        time.sleep(0.3)
        where = f"host={pg.host} port={pg.port} user=someone password=someone dbname=postgres"
        assert psycopg2.connect(f"{where} sslmode=require").info.ssl_in_use
        with pytest.raises(psycopg2.OperationalError, match="no encryption"):
            psycopg2.connect(f"{where} sslmode=disable")


def test_more_memory_than_the_limit_is_refused_with_the_servers_own_words() -> None:
    with Cluster.temporary() as pg:
        pg.stop()
        pg.configure({"shared_buffers": "2GB"})
        with pytest.raises(ClusterFailedError, match="could not map anonymous shared memory"):
            pg.start(memory_bytes=1024**3)


def test_a_base_backup_is_a_cluster_that_starts() -> None:
    with Cluster.temporary() as pg:
        pg.query("CREATE TABLE kept AS SELECT 7 AS n")
        base_backup.take(pg, pg.root / "backup")
        copy = Cluster(pg.root / "copy", host="127.0.0.1", port=pg.port, password=pg.password)
        copy.create(template=pg.root / "backup")
        pg.stop()
        copy.start()
        try:
            assert copy.query("SELECT n FROM kept") == [(7,)]
        finally:
            copy.stop()


def test_the_log_that_another_has_just_closed_is_told_and_not_the_one_that_is_open() -> None:
    with Cluster.temporary() as pg:
        closed = pg.query(base_backup.CLOSE_SEGMENT)
        assert pg.query(base_backup.CLOSE_SEGMENT) == closed
        assert pg.query("SELECT pg_walfile_name(pg_current_wal_insert_lsn())") > closed


def test_the_server_ends_when_its_owner_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", PROGRAM, "wait"], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    _, _, pid, root = owner.stdout.readline().split()
    server = psutil.Process(int(pid))
    owner.kill()
    owner.wait()
    shutil.rmtree(Path(root).parent, ignore_errors=True)
    assert psutil.wait_procs([server], timeout=5)[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_works_for_a_normal_user_too() -> None:
    python = python_of_nobody()
    home = Path(f"/tmp/lab-nobody-{os.getpid()}")  # noqa: S108 - pytest's folders are closed to others
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    paths = os.pathsep.join([str(PROJECT), *(path for path in sys.path if path.endswith("site-packages"))])
    try:
        ran = subprocess.run(
            [*BECOME_NOBODY, "sh", "-c", f'"{python}" -c "$0"', PROGRAM],
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": paths},
            capture_output=True,
            text=True,
        )
        assert ran.stdout.startswith(f"{NOBODY} 42 "), ran.stderr
        assert not list(home.glob("lab-postgres-*"))
    finally:
        shutil.rmtree(home)


def python_of_nobody() -> str:
    """An interpreter of this version that others may start: ours may lie in root's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        # Through a shell: setpriv itself would still open what only root may read.
        tried = [*BECOME_NOBODY, "sh", "-c", '"$0" -c "import encodings"', str(candidate)]
        if candidate and subprocess.run(tried, check=False, capture_output=True).returncode == 0:
            return candidate
    pytest.skip(f"no {version} here that a normal user could start")
