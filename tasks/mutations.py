"""Lies about a restored database, each told inside a transaction that its caller never commits.

They need no more than what RDS gives its master user: to own the tables, and to manage roles.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import psycopg2
from psycopg2 import sql
from psycopg2.errors import ForeignKeyViolation
from psycopg2.extensions import cursor

from tasks.errors import PreconditionFailed
from tasks.own_tables import Column, Table

T = TypeVar("T")
RENAMED_ROLE = "runbook_mutant"
TOO_OLD_BY = timedelta(hours=2)
# When a row was made, by the names that this application's tables give it.
MADE_AT = ("created_at", "written_at", "applied_at")

SEQUENCES = """
select format('%%I.%%I', nspname, relname)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
join pg_depend on classid = 'pg_class'::regclass and objid = pg_class.oid and refclassid = 'pg_class'::regclass
where relkind = 'S' and deptype in ('a', 'i') and refobjid = %s::regclass
order by 1
"""
ROLES = """
select quote_ident(rolname) from pg_roles
where rolname !~ '^(pg_|rds)' and not rolsuper and rolname not in (current_user, session_user) order by rolname
"""
# How the lowest bit of a value of each type is turned, and which values have one to turn.
BITS = {
    "int2": ("{column} # 1", "{column} is not null"),
    "int4": ("{column} # 1", "{column} is not null"),
    "int8": ("{column} # 1", "{column} is not null"),
    "text": (
        "left({column}, -1) || chr(ascii(right({column}, 1)) # 1)",
        "ascii(right({column}, 1)) between 33 and 125",
    ),
    "varchar": (
        "left({column}, -1) || chr(ascii(right({column}, 1)) # 1)",
        "ascii(right({column}, 1)) between 33 and 125",
    ),
    "bytea": ("set_bit({column}, 0, 1 - get_bit({column}, 0))", "length({column}) > 0"),
    "bool": ("not {column}", "{column} is not null"),
    "timestamptz": (
        "{column} + interval '1 microsecond'",
        "isfinite({column}) and mod(extract(microseconds from {column}), 2) = 0",
    ),
}
# Changes of type that rewrite no table.
OTHER_TYPES = {"text": "varchar", "varchar": "text", "numeric": "numeric"}
# The heartbeats of another application: as many, at the same times, in a chain that is unbroken in itself.
RECHAIN = """
with recursive chain as (
    (select sequence, instance || '-of-another' as instance,
            {digest}(null, sequence, minute, written_at, instance || '-of-another') as digest
     from {table} order by sequence limit 1)
    union all
    select next.sequence, next.instance || '-of-another',
           {digest}(chain.digest, next.sequence, next.minute, next.written_at, next.instance || '-of-another')
    from chain join {table} as next on next.sequence = chain.sequence + 1
)
update {table} as heartbeat set instance = chain.instance, digest = chain.digest
from chain where heartbeat.sequence = chain.sequence
"""
SWAP = """
update {table} as mine
set ({columns}) = (select {columns} from {table} as other
                   where other.ctid = case mine.ctid when %(a)s then %(b)s::tid else %(a)s::tid end)
where mine.ctid in (%(a)s, %(b)s)
"""
PAIR = """
select first.ctid, other.ctid
from (select ctid, row({columns})::text as content from {table} limit 1) as first
join {table} as other on row({columns})::text <> first.content limit 1
"""


class NotPlanted(PreconditionFailed):
    """This database gives the lie no room."""


@dataclass(frozen=True)
class Planted:
    """`thing` is what a judgement that sees through it must name."""

    what: str
    thing: str


Plant = Callable[[cursor, Sequence[Table]], Planted]


def drop_row(session: cursor, tables: Sequence[Table]) -> Planted:
    def attempt(table: Table) -> Planted | None:
        statement = "delete from {table} where ctid = (select ctid from {table} limit 1)"
        deleted = _run(session, statement, table=table.name)
        return Planted(f"one row of {table.name} is gone", table.bare_name) if deleted else None

    return _first(session, "table with a row that may go", _filled(tables), attempt)


def flip_bit(session: cursor, tables: Sequence[Table]) -> Planted:
    def attempt(choice: tuple[Table, Column]) -> Planted | None:
        table, column = choice
        turned, has_bit = BITS[column.type]
        statement = (
            f"update {{table}} set {{column}} = {turned}"  # noqa: S608 - constants only
            f" where ctid = (select ctid from {{table}} where {has_bit} limit 1)"
        )
        changed = _run(session, statement, table=table.name, column=column.name)
        return Planted(f"one bit of one {table.name}.{column.name} is turned", table.bare_name) if changed else None

    choices = ((table, column) for table in _filled(tables) for column in table.columns)
    free = ((table, column) for table, column in choices if column.is_free and column.type in BITS)
    return _first(session, "column outside of every key with a value", free, attempt)


def truncate_table(session: cursor, tables: Sequence[Table]) -> Planted:
    def attempt(table: Table) -> Planted:
        _run(session, "truncate {table}", table=table.name)
        return Planted(f"{table.name} has lost its {table.rows} rows", table.bare_name)

    return _first(session, "table with rows that nothing refers to", _filled(tables), attempt)


def reset_sequence(session: cursor, tables: Sequence[Table]) -> Planted:
    def attempt(sequence: str) -> Planted:
        _run(session, "alter sequence {sequence} restart", sequence=sequence)
        return Planted(f"sequence {sequence} starts again", f"sequence {sequence} is at")

    def sequences() -> Iterator[str]:
        for table in _filled(tables):
            session.execute(SEQUENCES, (table.name,))
            yield from (name for (name,) in session.fetchall())

    return _first(session, "table with rows that a sequence numbers", sequences(), attempt)


def hide_role(session: cursor, _tables: Sequence[Table]) -> Planted:
    def attempt(role: str) -> Planted:
        _run(session, "alter role {role} rename to {other}", role=role, other=RENAMED_ROLE)
        return Planted(f"role {role} is missing", f"role {role} is missing")

    session.execute(ROLES)
    return _first(session, "role beside our own that we may rename", [name for (name,) in session.fetchall()], attempt)


def turn_back_time(session: cursor, tables: Sequence[Table]) -> Planted:
    """Whatever was made in the last two hours is not there, as if the restore had stopped before."""
    heartbeats = _heartbeats(tables)
    session.execute(sql.SQL("select max(written_at) - %s from {}").format(sql.SQL(heartbeats.name)), (TOO_OLD_BY,))
    ((moment,),) = session.fetchall()
    waiting = {
        table.name: column
        for table in _filled(tables)
        if (
            column := next(
                (one.name for one in table.columns if one.name in MADE_AT and one.type == "timestamptz"), None
            )
        )
    }
    while done := [name for name, column in waiting.items() if _delete_after(session, name, column, moment)]:
        waiting = {name: column for name, column in waiting.items() if name not in done}
    if heartbeats.name in waiting:
        raise NotPlanted(f"the newest rows of {heartbeats.name} could not be deleted, expected that they can")
    return Planted(f"the newest {TOO_OLD_BY} are not there", "heartbeat")


def become_another(session: cursor, tables: Sequence[Table]) -> Planted:
    heartbeats = _heartbeats(tables)
    digest = f"{heartbeats.name.removesuffix('.heartbeats')}.heartbeat_digest"
    changed = _run(session, RECHAIN, table=heartbeats.name, digest=digest)
    return Planted(f"the {changed} heartbeats are another application's", "heartbeat")


def change_type(session: cursor, tables: Sequence[Table]) -> Planted:
    def attempt(choice: tuple[Table, Column]) -> Planted:
        table, column = choice
        other = OTHER_TYPES[column.type]
        statement = "alter table {table} alter column {column} type {type}"
        _run(session, statement, table=table.name, column=column.name, type=other)
        return Planted(f"{table.name}.{column.name} is {other}", f"{table.name}.{column.name} is ")

    choices = ((table, column) for table in tables for column in table.columns if column.type in OTHER_TYPES)
    limited = ((table, column) for table, column in choices if column.has_limit or column.type != "numeric")
    return _first(session, "column whose type may change without a rewrite", limited, attempt)


def swap_rows(session: cursor, tables: Sequence[Table]) -> Planted:
    """Two rows with their keys exchanged: the same keys, the same values, the same sums of each column."""

    def attempt(table: Table) -> Planted | None:
        names = {"table": table.name, "columns": ", ".join(column.name for column in table.columns if column.is_free)}
        if not _run(session, PAIR, **names):
            return None
        ((a, b),) = session.fetchall()
        _run(session, SWAP, {"a": a, "b": b}, **names)
        return Planted(f"two rows of {table.name} have exchanged their keys", table.bare_name)

    keyed = [table for table in _filled(tables) if len({column.is_free for column in table.columns}) == 2]
    return _first(session, "table with a key and two rows that differ", keyed, attempt)


def _heartbeats(tables: Sequence[Table]) -> Table:
    found = [table for table in _filled(tables) if table.bare_name == "heartbeats"]
    if len(found) != 1:
        raise NotPlanted(f"there are {len(found)} tables heartbeats with rows, expected the application's one")
    return found[0]


def _filled(tables: Sequence[Table]) -> list[Table]:
    return [table for table in tables if table.rows]


def _first(session: cursor, wanted: str, choices: Iterable[T], attempt: Callable[[T], Planted | None]) -> Planted:
    """What the first choice that the database permits has planted; a refused one leaves nothing."""
    refusals: list[str] = []
    for choice in choices:
        session.execute("savepoint choice")
        try:
            if planted := attempt(choice):
                return replace(planted, what="; ".join([planted.what, *(f"not elsewhere: {one}" for one in refusals)]))
        except psycopg2.Error as error:
            session.execute("rollback to savepoint choice")
            refusals.append(str(error).splitlines()[0])
    raise NotPlanted(f"there is no {wanted}, expected one{''.join(f'; {one}' for one in refusals)}")


def _delete_after(session: cursor, table: str, column: str, moment: object) -> bool:
    """False while other rows still refer to these."""
    session.execute("savepoint choice")
    try:
        _run(session, "delete from {table} where {column} > %(moment)s", {"moment": moment}, table=table, column=column)
    except ForeignKeyViolation:
        session.execute("rollback to savepoint choice")
        return False
    return True


def _run(session: cursor, statement: str, values: dict[str, object] | None = None, /, **names: str) -> int:
    """How many rows it touched. The names come quoted from the catalogue."""
    parts = {name: sql.SQL(text.replace("%", "%%") if values else text) for name, text in names.items()}
    session.execute(sql.SQL(statement).format(**parts), values)
    return session.rowcount
