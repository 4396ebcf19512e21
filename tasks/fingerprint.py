"""One number for every row, and their sums in buckets: equal buckets hold equal rows, in whatever order.

Each row is hashed in its binary form with its *position* as the seed: its primary key, when that is one integer, else a
hash of the key's columns, else - without a key - of all of them. A text that is never NULL is hashed alone, and what
was hashed before it is its seed, which takes half of the time. The others make a record; of its hash two things matter:

* It adds the hashes of the columns up. With one seed for all rows, two rows could swap the values of a column and leave
  the sum as it was; with a seed for each row they cannot. Rows without a key are hashed a second time for that reason.
* It gives NULL the hash 0 under every seed. Where all columns may be NULL, a leading constant makes such a row count.

To sum by buckets takes a third longer than to sum all rows: buckets are for records, and for tables that differ. A
bucket's number is its rows' position without the last `shift` bits, so it can be split without reading another one. All
of this detects errors (two sets of rows are alike by chance in one of 2^64 cases); it does not withstand an adversary.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.pace import Pace
from tasks.postgres import ask
from tasks.tables import Column, Table

# Stored with every baseline: another way to hash, or to place rows, needs another name.
ALGORITHM = "hash_record_extended/2"
ROWS_PER_BUCKET_BITS = 10
BUCKETS_BITS = 14  # at most 2^14 buckets per table, or twice as many where they do not begin at a multiple
HASH_BITS = 64
RANGES_SHOWN = 5
STEP_PAGES = 16_384  # 128 MB: about a second of work between two looks at the source


class Sum(NamedTuple):
    """How many rows, and the sum of their hashes."""

    rows: int
    hashes: int


Buckets = dict[int, Sum]
NOTHING = Sum(0, 0)


def position(table: Table) -> sql.Composable:
    if table.integer_key:
        return sql.SQL("{}::pg_catalog.int8").format(table.integer_key)
    if table.key:
        return _record_hash((column.form for column in table.columns if column.name in table.key), sql.Literal(0))
    return _record_hash([sql.SQL("true")], _hashed(table.columns, sql.Literal(0)))


def row_hash(table: Table) -> sql.Composable:
    if table.integer_key:
        return _hashed([column for column in table.columns if column.name not in table.key], position(table))
    return _hashed(table.columns, position(table)) if table.key else position(table)


def bucket(table: Table, shift: int) -> sql.Composable:
    return sql.SQL("{} >> {}").format(position(table), sql.Literal(shift))


def choose_shift(session: connection, table: Table) -> int:
    """About 1,024 rows in a bucket, or more of them where that would be too many buckets."""
    if table.integer_key is None:
        rows = max(table.rows_estimate, table.pages)
        bits = min(max(int(rows) >> ROWS_PER_BUCKET_BITS, 1).bit_length(), BUCKETS_BITS)
        return HASH_BITS - bits
    ends = sql.SQL("select min({0}), max({0}) from only {1} as t").format(table.integer_key, table.identifier)
    ((lowest, highest),) = ask(session, ends)
    span = 0 if lowest is None else highest - lowest
    return max(ROWS_PER_BUCKET_BITS, int(span).bit_length() - BUCKETS_BITS)


def sum_rows(session: connection, table: Table, pace: Pace | None = None) -> Sum:
    """Every row of the table in one sum; see `sum_buckets` for the pace."""
    statements = (
        sql.SQL("select count(*), sum({}) from {}").format(row_hash(table), rows)
        for rows in _scans(table, sql.SQL("true"), pace)
    )
    found = (ask(session, statement) for statement in statements)
    return total(Sum(rows, int(hashes or 0)) for ((rows, hashes),) in found)


def sum_buckets(
    session: connection, table: Table, shift: int, where: sql.Composable | None = None, pace: Pace | None = None
) -> Buckets:
    """Every row of the table, or those `where`, in one scan; with a pace in steps, between which it may pause."""
    found: Buckets = {}
    for rows in _scans(table, where or sql.SQL("true"), pace):
        for place, part in as_buckets(ask(session, sums_of(table, shift, rows, pace is None))).items():
            found[place] = total((found.get(place, NOTHING), part))
    return found


def describe_places(table: Table, places: Sequence[int], shift: int) -> str:
    """The keys that fall into these buckets, for a report."""
    if table.integer_key is None:
        return "by a hash of the key" if table.key else "by a hash of the row, it has no key"
    ranges = bounds(places, shift)
    more = f" and {len(ranges) - RANGES_SHOWN} more" if len(ranges) > RANGES_SHOWN else ""
    return f"{table.key[0]} " + ", ".join(f"{low} to {high}" for low, high in ranges[:RANGES_SHOWN]) + more


def sums_of(table: Table, shift: int, rows: sql.Composable, by_workers: bool = True) -> sql.Composable:
    if not by_workers:
        return sql.SQL("select {}, count(*), sum({}) from {} group by 1").format(
            bucket(table, shift), row_hash(table), rows
        )
    # Behind the empty half of a union the planner knows nothing of the buckets, and takes them for few. Knowing that
    # keys are unique it would expect a bucket per row, and leave all of the summing to one process.
    return sql.SQL(
        "select place, count(*), sum(hashed) from (select {}, {} from {}"
        " union all select null, null from only {} where false) as u(place, hashed) group by 1"
    ).format(bucket(table, shift), row_hash(table), rows, table.identifier)


def as_buckets(found: Iterable[tuple[Any, ...]]) -> Buckets:
    return {place: Sum(count, int(hashes)) for place, count, hashes in found}


def ask_in_ranges(session: connection, table: Table, statement: sql.Composable) -> list[tuple[Any, ...]]:
    """What `rows_in` is for: the planner takes its ranges for wide ones, and would rather scan the table for each."""
    if table.integer_key is None:
        return ask(session, statement)
    ask(session, "set local enable_seqscan = off")
    found = ask(session, statement)
    ask(session, "set local enable_seqscan = on")
    return found


def rows_where(table: Table, where: sql.Composable) -> sql.Composable:
    return sql.SQL("only {} as t where {}").format(table.identifier, where)


def rows_in(table: Table, places: Sequence[int], shift: int) -> sql.Composable:
    """The rows of some buckets: by ranges of an integer key, one after the other (`offset 0`), else by a scan."""
    if table.integer_key is None:
        listed = sql.Literal(list(places))
        return rows_where(table, sql.SQL("({}) = any({}::pg_catalog.int8[])").format(bucket(table, shift), listed))
    lows, highs = zip(*bounds(places, shift), strict=True)
    return sql.SQL(
        "rows from (pg_catalog.unnest({}::pg_catalog.int8[]), pg_catalog.unnest({}::pg_catalog.int8[])) as w(low, high)"
        " cross join lateral (select t.* from only {} as t where {} between w.low and w.high offset 0) as t"
    ).format(sql.Literal(list(lows)), sql.Literal(list(highs)), table.identifier, table.integer_key)


def set_workers(session: connection, workers: int) -> None:
    """How many processes each scan of this transaction may use beside its own; the server's limits still hold."""
    eager = "parallel_setup_cost = 0; set local parallel_tuple_cost = 0; set local min_parallel_table_scan_size = 0"
    ask(session, f"set local max_parallel_workers_per_gather = {workers}; set local {eager}")


def recently_changed(table: Table, since: datetime) -> sql.Composable:
    """Whether a row says that it was changed after `since`; one that says nothing was not."""
    if table.change_time is None:
        return sql.SQL("false")
    return sql.SQL("coalesce({} > {}::pg_catalog.timestamptz, false)").format(
        sql.Identifier("t", table.change_time), sql.Literal(since)
    )


def unequal(ours: Buckets, theirs: Buckets) -> dict[int, int]:
    """The buckets that differ, with how many rows the fuller side has."""
    return {
        place: max(ours.get(place, NOTHING).rows, theirs.get(place, NOTHING).rows)
        for place in sorted(ours.keys() | theirs.keys())
        if ours.get(place, NOTHING) != theirs.get(place, NOTHING)
    }


def total(buckets: Iterable[Sum]) -> Sum:
    rows, hashes = 0, 0
    for bucket_rows, bucket_hashes in buckets:
        rows, hashes = rows + bucket_rows, hashes + bucket_hashes
    return Sum(rows, hashes)


def bounds(places: Sequence[int], shift: int) -> list[tuple[int, int]]:
    """The first and last position of each run of neighbouring buckets."""
    runs: list[tuple[int, int]] = []
    for place in sorted(places):
        low, high = place << shift, ((place + 1) << shift) - 1
        if runs and runs[-1][1] + 1 == low:
            low = runs.pop()[0]
        runs.append((low, high))
    return runs


def _hashed(columns: Sequence[Column], seed: sql.Composable) -> sql.Composable:
    """The hash of a row's columns, from the inside out: a record of most of them, then each text that is never NULL."""
    texts = [column for column in columns if column.is_required and column.is_text]
    others = [column for column in columns if column not in texts]
    leading = [] if any(column.is_required for column in others) else [sql.SQL("true")]
    hashed = _record_hash([*leading, *(column.form for column in others)], seed)
    for column in texts:
        hashed = sql.SQL("pg_catalog.hashtextextended({}, {})").format(column.form, hashed)
    return hashed


def _record_hash(forms: Iterable[sql.Composable], seed: sql.Composable) -> sql.Composable:
    return sql.SQL("pg_catalog.hash_record_extended(row({}), {})").format(sql.SQL(", ").join(forms), seed)


def _scans(table: Table, where: sql.Composable, pace: Pace | None) -> Iterator[sql.Composable]:
    """What to read, one part after the other, each as soon as the source may be read on."""
    if pace is None:
        yield rows_where(table, where)
        return
    for first in range(0, max(table.pages, 1), STEP_PAGES):
        pace.keep()
        step = sql.SQL("t.ctid >= {} and t.ctid < {} and {}").format(_page(first), _page(first + STEP_PAGES), where)
        yield rows_where(table, step)


def _page(number: int) -> sql.Composable:
    return sql.SQL("'({},0)'::pg_catalog.tid").format(sql.SQL(str(number)))
