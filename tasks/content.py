"""L3 of a verified restore: every row and column of the restored copy against what the database held."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice

from psycopg2.extensions import connection

from tasks.content_baseline import (
    LONGEST_TRANSACTION,
    ContentBaseline,
    TableContent,
    require_comparable,
    require_pair,
    require_same_server,
)
from tasks.differing_rows import ROWS_REPORTED, DifferingRow, Pair, Side, locate, name_columns
from tasks.fingerprint import (
    ALGORITHM,
    Buckets,
    choose_shift,
    describe_places,
    set_workers,
    sum_buckets,
    sum_rows,
    total,
    unequal,
)
from tasks.flux import judge_flux
from tasks.pace import Pace
from tasks.signature import sign
from tasks.tables import Shaped, Table, differences_in_shape, list_tables, require_unchanged
from tasks.verdict import Verdict

LAYER = "L3 content"
WORKERS = 2
SHOWN = 10


@dataclass
class Comparison:
    """What is said of the restored copy; `differing` has the first 10,000 rows of each table."""

    facts: list[str]
    reasons: list[str] = field(default_factory=list)
    differing: list[DifferingRow] = field(default_factory=list)
    rows: int = 0

    @property
    def verdict(self) -> Verdict:
        compared = f"{self.rows} rows of the restored copy were compared, every column, by {ALGORITHM}"
        return Verdict(LAYER, tuple(self.reasons), (compared, *self.facts))

    def tables(
        self, session: connection, workers: int, expected: Mapping[str, Shaped], large_objects: int
    ) -> Iterator[Table]:
        """The tables that both have in the same shape; all others are reasons, and so is one that changes meanwhile."""
        inventory = list_tables(session)
        set_workers(session, workers)
        self.facts += inventory.left_out
        if inventory.large_objects != large_objects:
            self.reasons.append(f"there are {inventory.large_objects} large objects, expected {large_objects}")
        unlike = differences_in_shape(expected, inventory.by_name)
        self.reasons += unlike.values()
        yield from (table for table in inventory.tables if str(table) not in unlike)
        require_unchanged(session, inventory.tables)

    def name(self, pair: Pair, rows: Iterable[DifferingRow]) -> None:
        """Rows are wrong: which, and in which columns."""
        if found := name_columns(pair, list(rows)):
            self.differing += found
            self.reasons.append(_listed(pair.reference.table, found))


def compare_with_baseline(
    restored: connection, baseline: ContentBaseline, *, source: connection | None = None, workers: int = WORKERS
) -> Comparison:
    """Against what was recorded for the very moment that was restored; with the source at hand, rows are named.

    Raises:
        PreconditionFailed: the baseline cannot be compared here.
    """
    require_comparable(baseline, restored)
    comparison = Comparison([f"reference: what was recorded at {baseline.cut}, {baseline.rows} rows"])
    if not baseline.cut.is_exact:
        comparison.facts.append("the record is not exact: rows written in that time may be told to differ")
    today = list_tables(source).by_name if source else {}
    for table in comparison.tables(restored, workers, baseline.tables, baseline.large_objects):
        content = baseline.tables[str(table)]
        found = sum_rows(restored, table)
        comparison.rows += found.rows
        if found != content.total:
            buckets = sum_buckets(restored, table, content.shift)
            wrong = unequal(buckets, content.buckets)
            comparison.reasons.append(_not_as_recorded(table, content, buckets, wrong))
            theirs = today.get(str(table))
            if source and theirs and not differences_in_shape({"": table}, {"": theirs}):
                since = baseline.cut.earliest - LONGEST_TRANSACTION
                pair = Pair(Side(restored, table), Side(source, theirs), since)
                unexplained = (row for row in locate(pair, wrong, content.shift) if not row.changed_since)
                comparison.name(pair, islice(unexplained, ROWS_REPORTED))
        elif content.signature and content.signature != sign(restored, table):
            comparison.reasons.append(f"table {table} has another SHA-256 than was recorded")
    return comparison


def compare_around_backup(
    restored: connection, before: ContentBaseline, after: ContentBaseline, *, workers: int = WORKERS
) -> Comparison:
    """Against what was recorded before a backup was begun and when it was made; `after` was taken with that `before`.

    Raises:
        PreconditionFailed: the baselines cannot be compared here.
    """
    require_comparable(before, restored)
    require_comparable(after, restored)
    require_pair(before, after)
    comparison = Comparison([f"reference: what was recorded at {before.cut} and at {after.cut}, around the backup"])
    unlike = differences_in_shape(before.tables, after.tables)
    expected = {name: content for name, content in after.tables.items() if name not in unlike}
    comparison.reasons += (f"while the backup was made, {reason}" for reason in unlike.values())
    for table in comparison.tables(restored, workers, expected, after.large_objects):
        earlier, later = before.tables[str(table)], after.tables[str(table)]
        buckets = sum_buckets(restored, table, earlier.shift)
        comparison.rows += total(buckets.values()).rows
        flux = judge_flux(restored, table, earlier, later, buckets)
        comparison.reasons += flux.reasons
        if flux.rows:
            comparison.facts.append(
                f"{flux.rows} rows of table {table} were in flux: changed while the backup was made, their content is"
                " not proven"
            )
    return comparison


def compare_with_source(
    restored: connection,
    source: connection,
    moment: datetime,
    *,
    pace: Pace | None = None,
    workers: int = WORKERS,
    allow_deleted: bool = False,
) -> Comparison:
    """Against the source as it is now: what it changed since `moment` is not proven, all else must be equal.

    Args:
        allow_deleted: rows that only the restored copy has are taken for deleted since.

    Raises:
        PreconditionFailed: the two cannot be compared.
    """
    require_same_server(restored, source)
    inventory = list_tables(source)
    comparison = Comparison([f"reference: the source now, for {moment.isoformat()}; rows changed since are not proven"])
    for table in comparison.tables(restored, workers, inventory.by_name, inventory.large_objects):
        theirs = inventory[str(table)]
        pair = Pair(Side(restored, table), Side(source, theirs, pace), moment - LONGEST_TRANSACTION)
        ours, reference = pair.both(Side.sum)
        comparison.rows += ours.rows
        if ours != reference:
            shift = choose_shift(source, theirs)
            wrong = unequal(*pair.both(partial(Side.sum_buckets, shift=shift)))
            _judge(comparison, pair, locate(pair, wrong, shift), allow_deleted)
    require_unchanged(source, inventory.tables)
    if pace:
        comparison.facts.append(str(pace))
    return comparison


def _judge(comparison: Comparison, pair: Pair, rows: Iterator[DifferingRow], allow_deleted: bool) -> None:
    """Rows that only the restored copy has: without another record nobody knows whether the source ever had them."""
    changed = 0
    wrong: list[DifferingRow] = []
    gone: list[DifferingRow] = []
    for row in rows:
        if row.kind == "extra":
            gone.append(row)
            gone[ROWS_REPORTED:] = []
        elif row.changed_since:
            changed += 1
        else:
            wrong.append(row)
        if len(wrong) == ROWS_REPORTED or (len(gone) == ROWS_REPORTED and not allow_deleted):
            break  # never for rows that are no reason: they would hide those that are
    table = pair.reference.table
    if changed:
        comparison.facts.append(f"{changed} rows of table {table} were changed since, their content is not proven")
    comparison.name(pair, wrong)
    if gone:
        remark = f"{_listed(table, gone)}: deleted since or never there, not proven"
        (comparison.facts if allow_deleted else comparison.reasons).append(remark)


def _not_as_recorded(table: Table, content: TableContent, found: Buckets, wrong: Mapping[int, int]) -> str:
    return (
        f"table {table} has {total(found.values()).rows} rows, expected {content.total.rows};"
        f" {len(wrong)} of {len(content.buckets)} buckets are not as recorded"
        f" ({describe_places(table, list(wrong), content.shift)})"
    )


def _listed(table: Table, rows: Sequence[DifferingRow]) -> str:
    number = f"{'at least ' if len(rows) == ROWS_REPORTED else ''}{len(rows)}"
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"{number} rows of table {table} differ from the source: {'; '.join(map(str, rows[:SHOWN]))}{more}"
