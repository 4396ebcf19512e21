"""Two databases of the same rows: our comparison beside a bare scan, reladiff and Great Expectations, in one run.

`python -m tests.bench.content [ROWS]` measures this alone. reladiff is installed into build/reladiff, never into .venv.
"""

import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2

from lab.postgres import SUPERUSER, Cluster
from tasks.content import compare_with_source
from tasks.content_baseline import take_baseline
from tasks.fingerprint import set_workers, sum_rows
from tasks.pace import Pace
from tasks.postgres import open_session
from tasks.quiet_moment import open_quiet_moment
from tasks.tables import list_tables
from tests.databases import address, make_verifier

ROOT = Path(__file__).parents[2]
RELADIFF = ROOT / "build" / "reladiff"
ROWS = 10_000_000
DIFFERING = (1, 100, 10_000)
WORKERS = 2  # beside the session's own process
SETTINGS = {"shared_buffers": "3GB", "max_parallel_workers": "8", "autovacuum": "off", "max_wal_size": "4096"}
COLUMNS = ("name", "description", "price", "created_at", "updated_at")
FILL = """
insert into items (name, description, price, created_at, updated_at)
select 'item ' || n, left(md5(n::text) || md5('more of ' || n), 56), (n % 100000) / 100.0, ts, ts
  from generate_series(1, {rows}) n, lateral (select timestamptz '2026-01-01' + n * interval '1 s') t(ts)"""
VISIT = "select name from items where id = %s"
PEAK_KIB = 1024  # ru_maxrss is in KiB on Linux


def measure(rows: int = ROWS) -> dict[str, Any]:
    """Seconds, the median of five where it is short; `times_count` is over a bare count(*) with as many workers."""
    with Cluster.temporary(**SETTINGS) as cluster:
        make_verifier(cluster)
        _fill(cluster, rows)
        figures: dict[str, Any] = {"rows": rows, "bytes": _size(cluster)}
        for workers in (0, WORKERS):
            figures[f"with_{workers}_workers"] = _fingerprint(cluster, workers)
        figures["compare"] = {"equal": _case(cluster)}
        figures["load_on_the_source"] = _load(cluster)
        figures["great_expectations"] = _own_process("expect", cluster)
        damaged = 0
        for number in DIFFERING:
            print(json.dumps(figures), file=sys.stderr, flush=True)
            _damage(cluster, rows, damaged, number)
            damaged = number
            figures["compare"][f"{number} differ"] = _case(cluster)
        return figures


def _fill(cluster: Cluster, rows: int) -> None:
    """The application's table, in two databases."""
    schema = (ROOT / "app" / "migrations" / "0001_items.sql").read_text()
    cluster.query("create database source")
    cluster.query(schema, database="source")
    cluster.query(FILL.format(rows=rows), database="source")
    cluster.query("vacuum (analyze, freeze)", database="source")
    cluster.query("create database restored template source strategy file_copy")
    for database in ("source", "restored"):
        cluster.query("select count(updated_at) from items", database=database)


def _size(cluster: Cluster) -> int:
    ((size,),) = cluster.query("select pg_table_size('items')", database="source")
    return int(size)


def _damage(cluster: Cluster, rows: int, damaged: int, number: int) -> None:
    """So many rows of the copy, spread evenly, have another price."""
    step = max(rows // number, 1)
    statement = "update items set price = price + 0.01 where id %% %s = 0 and id <= %s"
    if damaged:
        cluster.query(statement.replace("+", "-"), max(rows // damaged, 1), rows, database="restored")
    cluster.query(statement, step, rows, database="restored")
    cluster.query("vacuum analyze items", database="restored")


def _fingerprint(cluster: Cluster, workers: int) -> dict[str, float]:
    """What a comparison of equal tables reads on each side, and what a record does: sums by buckets."""
    count = _median(lambda: _count(cluster, workers))
    full = _median(lambda: _sum(cluster, workers))
    record = _median(lambda: _record(cluster, workers))
    return {
        "count_seconds": count,
        "fingerprint_seconds": full,
        "times_count": round(full / count, 2),
        "record_seconds": record,
        "record_times_count": round(record / count, 2),
    }


def _count(cluster: Cluster, workers: int) -> None:
    many = f"set max_parallel_workers_per_gather = {workers}; "
    cluster.query(many + "select count(*) from items", database="source")  # noqa: S608 - a number


def _sum(cluster: Cluster, workers: int) -> None:
    with open_session(address(cluster, "source")) as session:
        inventory = list_tables(session)
        set_workers(session, workers)
        for table in inventory.tables:
            sum_rows(session, table, None if workers else Pace(session))


def _record(cluster: Cluster, workers: int) -> None:
    with open_quiet_moment(address(cluster, "source")) as (session, cut):
        take_baseline(session, cut, workers=workers, pace=None if workers else Pace(session))


def _case(cluster: Cluster) -> dict[str, Any]:
    ours = [_own_process("compare", cluster) for _ in range(3)]
    seconds = round(statistics.median(one["seconds"] for one in ours), 2)
    theirs, found = _reladiff(cluster)
    return {
        "seconds": seconds,
        "differing": ours[0]["differing"],
        "peak_mib": max(one["peak_mib"] for one in ours),
        "reladiff_seconds": theirs,
        "reladiff_differing": found,
        "times_faster": round(theirs / seconds, 2),
    }


def _own_process(what: str, cluster: Cluster) -> dict[str, Any]:
    """In a process of its own, whose memory is its own."""
    where = json.dumps({"host": cluster.host, "port": cluster.port, "password": cluster.password, "root": "/"})
    command = [sys.executable, "-m", "tests.bench.content", what]
    done = subprocess.run(command, cwd=ROOT, input=where, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _compare(cluster: Cluster) -> dict[str, Any]:
    began = time.monotonic()
    with open_session(address(cluster, "restored")) as restored, open_session(address(cluster, "source")) as source:
        comparison = compare_with_source(restored, source, datetime.now(UTC), workers=WORKERS)
    return {
        "seconds": round(time.monotonic() - began, 2),
        "differing": len(comparison.differing),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // PEAK_KIB,
    }


def _expect(cluster: Cluster) -> dict[str, Any]:
    """Row checks: what Great Expectations is made for. They do not compare two databases."""
    import great_expectations as gx  # noqa: PLC0415 - its import takes seconds, which are not measured
    import great_expectations.expectations as gxe  # noqa: PLC0415

    url = f"postgresql+psycopg2://{SUPERUSER}:{cluster.password}@{cluster.host}:{cluster.port}/source"
    context = gx.get_context(mode="ephemeral")
    items = context.data_sources.add_postgres("source", connection_string=url).add_table_asset("i", table_name="items")
    batch = items.add_batch_definition_whole_table("all").get_batch()
    suite = gx.ExpectationSuite("items")
    for column in ("id", *COLUMNS):
        suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column=column))
    suite.add_expectation(gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0))
    suite.add_expectation(gxe.ExpectColumnValuesToBeUnique(column="id"))
    began = time.monotonic()
    result = batch.validate(suite, result_format="BOOLEAN_ONLY")
    return {
        "seconds": round(time.monotonic() - began, 2),
        "expectations": len(suite.expectations),
        "success": bool(result.success),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // PEAK_KIB,
    }


def _reladiff(cluster: Cluster) -> tuple[float, int]:
    """The whole command, with two threads for each database; how many rows it says differ."""
    if not RELADIFF.exists():
        uv = str(ROOT / ".venv" / "bin" / "uv")
        subprocess.run([uv, "venv", "-q", str(RELADIFF)], check=True)
        python = str(RELADIFF / "bin" / "python")
        subprocess.run([uv, "pip", "install", "-q", "--python", python, "reladiff[postgresql]"], check=True)
    urls = [
        f"postgresql://{SUPERUSER}:{cluster.password}@{cluster.host}:{cluster.port}/{database}"
        for database in ("source", "restored")
    ]
    columns = [word for column in COLUMNS for word in ("-c", column)]
    tool = str(RELADIFF / "bin" / "reladiff")
    command = [tool, urls[0], "items", urls[1], "items", "-k", "id", *columns, "-j", str(WORKERS), "--json"]
    began = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return round(time.monotonic() - began, 2), sum(line.startswith('["-"') for line in done.stdout.splitlines())


def _load(cluster: Cluster) -> dict[str, Any]:
    """What a user of the source waits for a row while it is compared, in milliseconds: the 95th percentile."""
    figures: dict[str, Any] = {}
    with _visitor(cluster) as idle:
        time.sleep(5)
    figures["idle_p95_ms"] = _p95(idle)
    for name, paced in (("unpaced", False), ("paced", True)):
        with (
            _visitor(cluster) as waits,
            open_session(address(cluster, "restored")) as restored,
            open_session(address(cluster, "source")) as source,
        ):
            pace = Pace(source) if paced else None
            began = time.monotonic()
            compare_with_source(restored, source, datetime.now(UTC), workers=0, pace=pace)
            figures[name] = {"seconds": round(time.monotonic() - began, 2)}
        figures[name]["p95_ms"] = _p95(waits)
        if pace:
            told = {
                "statements": pace.statements,
                "pauses": pace.pauses,
                "paused_seconds": round(pace.paused_seconds, 2),
            }
            figures[name].update(told)
    return figures


@contextmanager
def _visitor(cluster: Cluster) -> Iterator[list[float]]:
    waits: list[float] = []
    done = threading.Event()

    def visit() -> None:
        opened = psycopg2.connect(cluster.dsn("source"))
        with opened.cursor() as cursor:
            while not done.wait(0.01):
                began = time.monotonic()
                cursor.execute(VISIT, (len(waits) + 1,))
                waits.append((time.monotonic() - began) * 1000)
        opened.close()

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield waits
    finally:
        done.set()
        thread.join()


def _p95(waits: list[float]) -> float:
    return round(statistics.quantiles(waits, n=20)[-1], 2)


def _median(work: Callable[[], None]) -> float:
    taken = []
    for _ in range(5):
        began = time.monotonic()
        work()
        taken.append(time.monotonic() - began)
    return round(statistics.median(taken), 2)


def main() -> None:
    asked = sys.argv[1] if len(sys.argv) > 1 else str(ROWS)
    inside = {"compare": _compare, "expect": _expect}
    if asked in inside:
        where = json.loads(sys.stdin.read())
        print(json.dumps(inside[asked](Cluster(Path(where.pop("root")), **where))))
    else:
        print(json.dumps(measure(int(asked)), indent=2))


if __name__ == "__main__":
    main()
