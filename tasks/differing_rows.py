"""Which rows differ between two databases: found by splitting the buckets that do, never by reading a whole table."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.fingerprint import (
    Buckets,
    Sum,
    as_buckets,
    ask_in_ranges,
    position,
    recently_changed,
    row_hash,
    rows_in,
    sum_buckets,
    sum_rows,
    sums_of,
    unequal,
)
from tasks.pace import Pace
from tasks.tables import Column, Table

T = TypeVar("T")

Kind = Literal["differs", "missing", "extra"]
_Row = tuple[int, int, int, str | None, bool]

ROWS_REPORTED = 10_000
# A bucket of more rows than these is split into 2^SPLIT_BITS before its rows are fetched.
ROWS_FETCHED = 64
SPLIT_BITS = 5
BATCH_BY_RANGE = 200
# Without ranges, each batch is a scan of the whole table.
BATCH_BY_SCAN = 4_000


@dataclass(frozen=True)
class Side:
    session: connection
    table: Table
    pace: Pace | None = None

    def sum(self) -> Sum:
        return sum_rows(self.session, self.table, self.pace)

    def sum_buckets(self, shift: int) -> Buckets:
        return sum_buckets(self.session, self.table, shift, pace=self.pace)

    def ask(self, statement: sql.Composable) -> list[tuple[Any, ...]]:
        """Of a few buckets, as soon as the database may be read on."""
        if self.pace:
            self.pace.keep()
        return ask_in_ranges(self.session, self.table, statement)


@dataclass(frozen=True)
class Pair:
    """The same table twice. `since` divides the rows of each side into those changed later and the others."""

    restored: Side
    reference: Side
    since: datetime

    def both(self, work: Callable[[Side], T]) -> tuple[T, T]:
        with ThreadPoolExecutor(max_workers=2) as pool:
            ours, theirs = pool.map(work, (self.restored, self.reference))
        return ours, theirs


@dataclass(frozen=True)
class DifferingRow:
    """Without values, which may be secrets. `changed_since` is what the row says, the reference's when both have it."""

    table: str
    key: str
    kind: Kind
    changed_since: bool
    position: int
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"differs in {', '.join(self.columns)}" if self.columns else self.kind
        return f"{self.key} {what}"


class _Found(NamedTuple):
    """Rows that are alike: equal tuples, equal rows."""

    position: int
    hash: int
    rows: int
    key: str | None
    changed_since: bool


def locate(pair: Pair, differing: Mapping[int, int], shift: int) -> Iterator[DifferingRow]:
    """Each row that only one side has, or that has other values there.

    Args:
        differing: buckets with the number of their rows, as `fingerprint.unequal` gives them.
    """
    size = BATCH_BY_RANGE if pair.reference.table.integer_key else BATCH_BY_SCAN
    small = [place for place, rows in differing.items() if rows <= ROWS_FETCHED or shift == 0]
    large = [place for place, rows in differing.items() if rows > ROWS_FETCHED and shift > 0]
    for batch in _batches(small, size):
        ours, theirs = pair.both(partial(_fetch, places=batch, shift=shift, since=pair.since))
        yield from _compare(pair.reference.table, ours, theirs)
    finer = max(shift - SPLIT_BITS, 0)
    for batch in _batches(large, size):
        parts = pair.both(partial(_split, places=batch, shift=shift, finer=finer))
        yield from locate(pair, unequal(*parts), finer)


def name_columns(pair: Pair, rows: Sequence[DifferingRow]) -> list[DifferingRow]:
    """The same rows, with the columns in which they differ."""
    both_have = [row.position for row in rows if row.kind == "differs"]
    named: dict[int, tuple[str, ...]] = {}
    columns = [column for column in pair.reference.table.columns if column.name not in pair.reference.table.key]
    size = BATCH_BY_RANGE * 5 if pair.reference.table.integer_key else ROWS_REPORTED
    for batch in _batches(both_have, size):
        ours, theirs = pair.both(partial(_hashes_by_column, places=batch, columns=columns))
        for place in ours.keys() & theirs.keys():
            compared = zip(columns, ours[place], theirs[place], strict=True)
            named[place] = tuple(column.name for column, one, other in compared if one != other)
    return [replace(row, columns=named.get(row.position, ())) for row in rows]


def _split(side: Side, places: Sequence[int], shift: int, finer: int) -> Buckets:
    return as_buckets(side.ask(sums_of(side.table, finer, rows_in(side.table, places, shift))))


def _fetch(side: Side, places: Sequence[int], shift: int, since: datetime) -> set[_Row]:
    table = side.table
    statement = sql.SQL("select {}, {}, count(*), min({}), bool_or({}) from {} group by 1, 2").format(
        position(table), row_hash(table), _key(table), recently_changed(table, since), rows_in(table, places, shift)
    )
    return set(side.ask(statement))


def _hashes_by_column(side: Side, places: Sequence[int], columns: Sequence[Column]) -> dict[int, list[int]]:
    hashes = (sql.SQL("pg_catalog.hash_record_extended(row({}), 0)").format(column.form) for column in columns)
    statement = sql.SQL("select {}, array[{}]::pg_catalog.int8[] from {}").format(
        position(side.table), sql.SQL(", ").join(hashes), rows_in(side.table, places, 0)
    )
    return dict(side.ask(statement))


def _key(table: Table) -> sql.Composable:
    """How a row is called in a report, where that is not its position."""
    if table.integer_key or not table.key:
        return sql.SQL("null::pg_catalog.text")
    parts = (sql.SQL("{}::pg_catalog.text").format(sql.Identifier("t", name)) for name in table.key)
    return sql.SQL("pg_catalog.concat_ws(', ', {})").format(sql.SQL(", ").join(parts))


def _compare(table: Table, ours: set[_Row], theirs: set[_Row]) -> Iterator[DifferingRow]:
    """Most rows are equal in both and go at once, in the difference of two sets of plain tuples."""
    only_ours, only_theirs = _by_position(ours - theirs), _by_position(theirs - ours)
    for place in sorted(only_ours.keys() | only_theirs.keys()):
        extra, missing = only_ours.get(place, {}), only_theirs.get(place, {})
        if table.key and extra and missing:
            yield _row(table, next(iter(missing.values())), "differs")
            continue
        for found in _more(extra, missing):
            yield from [_row(table, found, "extra")] * found.rows
        for found in _more(missing, extra):
            yield from [_row(table, found, "missing")] * found.rows


def _by_position(rows: Iterable[_Row]) -> dict[int, dict[int, _Found]]:
    found: dict[int, dict[int, _Found]] = {}
    for row in map(_Found._make, rows):
        found.setdefault(row.position, {})[row.hash] = row
    return found


def _more(these: Mapping[int, _Found], others: Mapping[int, _Found]) -> Iterator[_Found]:
    """What these have more of than the others."""
    for hashed, found in these.items():
        surplus = found.rows - (others[hashed].rows if hashed in others else 0)
        if surplus > 0:
            yield found._replace(rows=surplus)


def _row(table: Table, found: _Found, kind: Kind) -> DifferingRow:
    key = found.key or (str(found.position) if table.key else f"without a key, hash {found.position}")
    return DifferingRow(str(table), key, kind, found.changed_since, found.position)


def _batches(items: Sequence[int], size: int) -> Iterator[list[int]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
