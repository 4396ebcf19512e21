"""Which tables a database has, how each of their rows is found again, and what stays out of a comparison and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.binary_form import NoBinaryForm, Type, binary_form, read_types
from tasks.errors import PreconditionFailed
from tasks.postgres import ask

INTEGERS = frozenset({"smallint", "integer", "bigint"})
# Where a row says when it was last changed; the first that a table has, as a timestamptz.
CHANGE_TIMES = ("updated_at", "written_at", "created_at", "applied_at")
SETTINGS = "set local jit = off; set local enable_sort = off; set local search_path = ''; set local work_mem = '64MB';"
OURS = """n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp_)'"""
RELATIONS = f"""
select c.oid::bigint, n.nspname, c.relname, c.relkind, c.relpersistence, c.relfilenode::bigint, c.reltuples::float8,
       pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int,
       pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select'),
       pg_catalog.row_security_active(c.oid)
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'm', 'f') and c.relpersistence <> 't' and {OURS}
 order by n.nspname, c.relname"""  # noqa: S608 - our own text
COLUMNS = """
select a.attrelid::bigint, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atttypid::bigint,
       pg_catalog.array_position(i.indkey::int2[], a.attnum)
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class c on c.oid = a.attrelid and c.relkind = 'r'
  left join pg_catalog.pg_index i on i.indrelid = a.attrelid and i.indisprimary
 where a.attnum > 0 and not a.attisdropped
 order by a.attrelid, a.attname"""
OUTSIDE = """
select (select count(*) from pg_catalog.pg_largeobject_metadata),
       array(select datname::text from pg_catalog.pg_database
              where datallowconn and not datistemplate and datname <> pg_catalog.current_database() order by 1)"""


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    is_required: bool
    form: sql.Composable

    @property
    def is_text(self) -> bool:
        return self.type == "text" or self.type.startswith("character varying")


@dataclass(frozen=True)
class Table:
    schema: str
    name: str
    oid: int
    filenode: int
    pages: int
    rows_estimate: float
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def shape(self) -> dict[str, str]:
        return {one.name: f"{one.type} not null" if one.is_required else one.type for one in self.columns}

    @property
    def identifier(self) -> sql.Composable:
        return sql.Identifier(self.schema, self.name)

    @property
    def integer_key(self) -> sql.Composable | None:
        """The primary key, when it is one integer: rows can then be read by ranges of it."""
        types = [column.type for column in self.columns if column.name in self.key]
        return sql.Identifier("t", self.key[0]) if len(types) == 1 and types[0] in INTEGERS else None

    @property
    def change_time(self) -> str | None:
        times = {column.name for column in self.columns if column.type.endswith(" with time zone")}
        return next((name for name in CHANGE_TIMES if name in times), None)


@dataclass(frozen=True)
class Inventory:
    """`left_out` says, a line each, what a comparison of the tables does not see."""

    tables: tuple[Table, ...]
    large_objects: int
    left_out: tuple[str, ...]

    def __getitem__(self, name: str) -> Table:
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Table]:
        return {str(table): table for table in self.tables}


def list_tables(session: connection) -> Inventory:
    """Every table with rows of its own; from here on, this transaction has the settings that a fingerprint needs.

    Raises:
        PreconditionFailed: a table's rows, or a part of them, are hidden from this role.
    """
    ask(session, SETTINGS)
    relations = ask(session, RELATIONS)
    _require_visible(session, relations)
    columns, types = _columns_by_table(session), read_types(session)
    tables = tuple(
        _table(relation, columns.get(relation[0], ()), types)
        for relation in relations
        if relation[3] == "r" and relation[4] == "p"
    )
    ((large_objects, databases),) = ask(session, OUTSIDE)
    return Inventory(tables, large_objects, tuple(_left_out(relations, large_objects, databases)))


def require_unchanged(session: connection, tables: Sequence[Table]) -> None:
    """A table that was truncated or rewritten looks empty to an older snapshot, and nothing else would tell.

    Raises:
        PreconditionFailed: it happened between this transaction's snapshot and its reading of the table.
    """
    if not tables:
        return
    wanted = sql.SQL(", ").join(
        sql.SQL("({}, {}, {})").format(sql.Literal(table.oid), sql.Literal(table.filenode), sql.Literal(str(table)))
        for table in tables
    )
    changed = sql.SQL(
        "select name from (values {}) as v(oid, filenode, name)"
        " where pg_catalog.pg_relation_filenode(oid::oid)::bigint is distinct from filenode"
    ).format(wanted)
    if names := [name for (name,) in ask(session, changed)]:
        raise PreconditionFailed(
            f"table {', '.join(names)} was truncated, rewritten or dropped while it was read, expected none of that:"
            " its older rows cannot be seen any more. Run this again"
        )


class Shaped(Protocol):
    """A table, or what a baseline remembers of one."""

    @property
    def shape(self) -> dict[str, str]: ...
    @property
    def key(self) -> tuple[str, ...]: ...


def differences_in_shape(expected: Mapping[str, Shaped], found: Mapping[str, Shaped]) -> dict[str, str]:
    """The tables that cannot be compared row by row, each with the reason."""
    names = sorted(expected.keys() | found.keys())
    reasons = {name: _difference(expected.get(name), found.get(name)) for name in names}
    return {name: f"table {name} {reason}" for name, reason in reasons.items() if reason}


def _difference(expected: Shaped | None, found: Shaped | None) -> str:
    if expected is None:
        return "is in the restored copy, expected no such table"
    if found is None:
        return "is not in the restored copy, expected it"
    if found.key != expected.key:
        return f"has the primary key ({', '.join(found.key)}), expected ({', '.join(expected.key)})"
    return "; ".join(
        f"has column {name} as {found.shape.get(name, 'nothing')}, expected {expected.shape.get(name, 'nothing')}"
        for name in sorted(found.shape.keys() | expected.shape.keys())
        if found.shape.get(name) != expected.shape.get(name)
    )


def _columns_by_table(session: connection) -> dict[int, list[tuple[Any, ...]]]:
    found: dict[int, list[tuple[Any, ...]]] = {}
    for table, *column in ask(session, COLUMNS):
        found.setdefault(table, []).append(tuple(column))
    return found


def _table(relation: tuple[Any, ...], columns: Iterable[tuple[Any, ...]], types: Mapping[int, Type]) -> Table:
    oid, schema, name, _, _, filenode, estimate, pages, *_ = relation
    key = sorted((place, column) for column, _, _, _, place in columns if place is not None)
    shown = tuple(
        Column(column, kind, is_required, _form(f"{schema}.{name}", column, type_oid, types))
        for column, kind, is_required, type_oid, _ in columns
    )
    return Table(schema, name, oid, filenode, pages, estimate, shown, tuple(column for _, column in key))


def _form(table: str, column: str, type_oid: int, types: Mapping[int, Type]) -> sql.Composable:
    try:
        return binary_form(sql.Identifier("t", column), type_oid, types)
    except NoBinaryForm as error:
        raise PreconditionFailed(
            f"column {column} of table {table} holds {error}, which has no send function, expected one: its values"
            " cannot be compared. Change its type, or give the type a send function"
        ) from error


def _require_visible(session: connection, relations: Sequence[tuple[Any, ...]]) -> None:
    role = session.info.user
    compared = [one for one in relations if one[3] == "r" and one[4] == "p"]
    if unreadable := [f"{one[1]}.{one[2]}" for one in compared if not one[8]]:
        raise PreconditionFailed(
            f"role {role} may not read {', '.join(unreadable)}, expected every table: grant it pg_read_all_data"
        )
    if filtered := [f"{one[1]}.{one[2]}" for one in compared if one[9]]:
        raise PreconditionFailed(
            f"row-level security hides rows of {', '.join(filtered)} from role {role}, expected every row:"
            " give the role BYPASSRLS"
        )


def _left_out(relations: Sequence[tuple[Any, ...]], large_objects: int, databases: Sequence[str]) -> Iterable[str]:
    reasons = {
        ("m", "p"): "materialized views are not compared, they are derived",
        ("f", "p"): "foreign tables are not compared, their rows are elsewhere",
        ("r", "u"): "unlogged tables are not compared, a restore empties them",
    }
    for (kind, persistence), reason in reasons.items():
        if names := [f"{one[1]}.{one[2]}" for one in relations if (one[3], one[4]) == (kind, persistence)]:
            yield f"{reason}: {', '.join(names)}"
    if large_objects:
        yield f"large objects are counted ({large_objects}), their content is not compared"
    if databases:
        yield f"other databases of the server are not compared: {', '.join(databases)}"
