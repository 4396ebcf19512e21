"""Rows that were changed while a backup was made: of these, and of no others, two records cannot tell the content."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.content_baseline import CHANGES_REMEMBERED, Changes, TableContent
from tasks.fingerprint import (
    NOTHING,
    Buckets,
    ask_in_ranges,
    describe_places,
    position,
    recently_changed,
    row_hash,
    rows_in,
    sum_buckets,
)
from tasks.tables import Table


@dataclass(frozen=True)
class Flux:
    """`rows` were changed around the backup: present, and of content that only their time stamps speak for."""

    rows: int = 0
    reasons: tuple[str, ...] = ()


def judge_flux(session: connection, table: Table, before: TableContent, after: TableContent, found: Buckets) -> Flux:
    """A bucket that is as it was before or after is proven. In the others, so is each row that was not changed.

    Args:
        before: what the table held before the backup was begun, and `after`: when it was made.
        found: what the restored copy holds.
    """
    open_places = [
        place
        for place in sorted(found.keys() | before.buckets.keys() | after.buckets.keys())
        if found.get(place, NOTHING) not in (before.buckets.get(place, NOTHING), after.buckets.get(place, NOTHING))
    ]
    if not open_places:
        return Flux()
    where = f"{len(open_places)} buckets of table {table} ({describe_places(table, open_places, before.shift)})"
    neither = f"{where} are as they were neither before nor after the backup"
    if after.changes is None:
        return Flux(reasons=(f"{neither}, and the table has no column that says when a row was changed",))
    if after.changes.rows is None:
        return Flux(
            reasons=(
                f"{neither}, and more than {CHANGES_REMEMBERED} rows were changed meanwhile, expected fewer:"
                " verify a point in time instead",
            )
        )
    unchanged = _unchanged(session, table, before.shift, after.changes, after.changes.rows)
    wrong = [
        place
        for place in open_places
        if unchanged.get(place, NOTHING) != after.changes.others.get(place, NOTHING)
        or _in_play(found, unchanged, place) < _in_play(before.buckets, after.changes.others, place)
    ]
    if wrong:
        keys = describe_places(table, wrong, before.shift)
        return Flux(
            reasons=(
                f"{len(wrong)} buckets of table {table} ({keys}) differ in rows that did not change around the backup,"
                " expected none. Rows that were deleted meanwhile cannot be told from these",
            )
        )
    in_play = sum(_in_play(found, unchanged, place) for place in open_places)
    return Flux(in_play - _as_afterwards(session, table, before.shift, after.changes.rows, open_places))


def _unchanged(session: connection, table: Table, shift: int, changes: Changes, known: Mapping[int, int]) -> Buckets:
    return sum_buckets(
        session,
        table,
        shift,
        sql.SQL("not {} and not {} = any({}::pg_catalog.int8[])").format(
            recently_changed(table, changes.since), position(table), sql.Literal(list(known))
        ),
    )


def _as_afterwards(session: connection, table: Table, shift: int, known: Mapping[int, int], places: list[int]) -> int:
    """How many rows were changed before the backup's moment and not again: these are proven too."""
    wanted = set(places)
    meant = [one for one in known if one >> shift in wanted]
    if not meant:
        return 0
    statement = sql.SQL("select {}, {} from {}").format(position(table), row_hash(table), rows_in(table, meant, 0))
    rows = ask_in_ranges(session, table, statement)
    return sum(known[place] == hashed for place, hashed in rows)


def _in_play(all_rows: Buckets, unchanged: Buckets, place: int) -> int:
    return all_rows.get(place, NOTHING).rows - unchanged.get(place, NOTHING).rows
