"""What the rows of a database must mean: of every table what it declares itself, of the application's what it promises.

A restored database says that a constraint holds; here its rows are asked again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extensions import connection

TABLES = """
select pg_class.oid::int8, nspname, relname, format('%I.%I', nspname, relname),
       array(select attname::text from pg_attribute
             where attrelid = pg_class.oid and attnum > 0 and attnotnull and not attisdropped order by attnum)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind = 'r' and relpersistence <> 't'
  and nspname !~ '^pg_' and nspname <> 'information_schema'
order by nspname, relname
"""
CONSTRAINTS = """
select conrelid::int8, conname, contype::text, pg_get_expr(conbin, conrelid),
       array(select attname::text from unnest(conkey) with ordinality as part (number, place)
             join pg_attribute on attrelid = conrelid and attnum = number order by place),
       (select format('%I.%I', nspname, relname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where pg_class.oid = confrelid),
       array(select attname::text from unnest(confkey) with ordinality as part (number, place)
             join pg_attribute on attrelid = confrelid and attnum = number order by place)
from pg_constraint as declared where convalidated and contype in ('c', 'f', 'p', 'u')
  -- A reference to a partitioned table is declared once more for each of its partitions.
  and not exists (select from pg_constraint as whole
                  where whole.oid = declared.conparentid and whole.conrelid = declared.conrelid)
order by conname
"""
# A colon before a word would be a parameter, for SQLAlchemy, and a brace one of Great Expectations'.
COLON = re.compile(r"(?<!:):(?!:)")


@dataclass(frozen=True)
class Constraint:
    name: str
    kind: str
    condition: str | None
    columns: tuple[str, ...]
    parent: str | None
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """`name` is how SQL wants it, `str()` how people do."""

    schema: str
    bare_name: str
    name: str
    never_null: tuple[str, ...]
    constraints: tuple[Constraint, ...]

    def __str__(self) -> str:
        return f"{self.schema}.{self.bare_name}"


def read_tables(database: connection) -> tuple[Table, ...]:
    with database.cursor() as session:
        session.execute(CONSTRAINTS)
        constraints: dict[int, list[Constraint]] = {}
        for table, name, kind, condition, columns, parent, theirs in session.fetchall():
            found = Constraint(name, kind, condition, tuple(columns), parent, tuple(theirs))
            constraints.setdefault(table, []).append(found)
        session.execute(TABLES)
        return tuple(
            Table(schema, bare_name, name, tuple(never_null), tuple(constraints.get(oid, ())))
            for oid, schema, bare_name, name, never_null in session.fetchall()
        )


def expectations_of(table: Table, rows: tuple[int, int] | None, point: datetime) -> list[Any]:
    """Every expectation of one table; each description is a sentence that is true of it.

    Args:
        rows: the fewest and the most that there may be.
        point: the moment after which nothing can have been written.
    """
    promised = {"items": _items, "heartbeats": _heartbeats}.get(table.bare_name, _nothing)
    return [*_counted(rows), *_declared(table), *promised(point)]


def _counted(rows: tuple[int, int] | None) -> Iterator[Any]:
    if rows is not None:
        fewest, most = rows
        said = f"it has {fewest}{'' if most == fewest else f' to {most}'} rows"
        yield _gx().ExpectTableRowCountToBeBetween(min_value=fewest, max_value=most, description=said)


def _declared(table: Table) -> Iterator[Any]:
    for column in table.never_null:
        yield _gx().ExpectColumnValuesToNotBeNull(column=column, description=f"{column} is never null")
    for constraint in table.constraints:
        columns = ", ".join(constraint.columns)
        if constraint.kind == "c":
            yield _none_where(f"not ({constraint.condition})", f"check {constraint.name} holds")
        elif constraint.kind == "f":
            yield _none_where(_orphan(constraint), f"every {columns} is in {constraint.parent} ({constraint.name})")
        elif len(constraint.columns) == 1:
            yield _gx().ExpectColumnValuesToBeUnique(column=columns, description=f"{columns} is unique")
        else:
            yield _gx().ExpectCompoundColumnsToBeUnique(
                column_list=list(constraint.columns),
                ignore_row_if="any_value_is_missing",
                description=f"({columns}) is unique",
            )


def _orphan(constraint: Constraint) -> str:
    """A row with a null in its foreign key refers to nothing, and may."""
    pairs = list(zip(constraint.columns, constraint.parent_columns, strict=True))
    filled = " and ".join(f"child.{_quoted(ours)} is not null" for ours, _ in pairs)
    same = " and ".join(f"parent.{_quoted(theirs)} = child.{_quoted(ours)}" for ours, theirs in pairs)
    return f"{filled} and not exists (select from {constraint.parent} as parent where {same})"


def _items(point: datetime) -> Iterator[Any]:
    gx = _gx()
    types = {"id": "BIGINT", "name": "TEXT", "description": "TEXT", "price": "NUMERIC(12, 2)"}
    yield from _of_types({**types, "created_at": MOMENT, "updated_at": MOMENT})
    for column, shortest, longest in (("name", 1, 200), ("description", 0, 2000)):
        said = f"{column} has {shortest} to {longest} characters"
        yield gx.ExpectColumnValueLengthsToBeBetween(
            column=column, min_value=shortest, max_value=longest, description=said
        )
    yield gx.ExpectColumnValuesToBeBetween(
        column="price", min_value=0, max_value=10**10, description="price is a price"
    )
    yield gx.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="updated_at",
        column_B="created_at",
        or_equal=True,
        description="no item was changed before it was made",
    )
    yield _none_where(_after("greatest(created_at, updated_at)", point), "no item is of after the restore point")


def _heartbeats(point: datetime) -> Iterator[Any]:
    gx = _gx()
    types = {"sequence": "BIGINT", "instance": "TEXT", "digest": "TEXT"}
    yield from _of_types({"minute": MOMENT, **types, "written_at": MOMENT})
    yield gx.ExpectColumnValuesToBeBetween(column="sequence", min_value=1, description="numbers begin at 1")
    yield gx.ExpectColumnValueLengthsToEqual(column="digest", value=64, description="each digest has 64 characters")
    yield gx.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="written_at", column_B="minute", or_equal=True, description="none was written before its minute"
    )
    yield _none_where(_after("written_at", point), "no heartbeat is of after the restore point")


def _nothing(_point: datetime) -> Iterator[Any]:
    return iter(())


MOMENT = "TIMESTAMP WITH TIME ZONE"


def _of_types(types: dict[str, str]) -> Iterator[Any]:
    for column, kind in types.items():
        said = f"{column} is a {kind.lower()}"
        yield _gx().ExpectColumnValuesToBeOfType(column=column, type_=kind, description=said)


def _none_where(condition: str, description: str) -> Any:
    """Its query selects no column, so that no row's value can get into a result."""
    text = COLON.sub(r"\\:", condition).replace("{", "{{").replace("}", "}}")
    query = f"select 1 as bad from (select * from {{batch}}) as child where {text}"  # noqa: S608 - from the catalogue
    return _gx().UnexpectedRowsExpectation(unexpected_rows_query=query, description=description)


def _after(expression: str, point: datetime) -> str:
    return f"{expression} > timestamptz '{point.isoformat()}'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _gx() -> Any:
    import great_expectations.expectations as gx  # noqa: PLC0415 - seconds, and only this layer needs it

    return gx
