"""The tables that the connected role owns, and which of their columns may hold another value."""

from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import cursor

TABLES = """
select format('%I.%I', nspname, relname), relname,
       (select json_agg(json_build_array(
            quote_ident(attname), typname, atttypmod >= 0,
            attgenerated = '' and attidentity = ''
            and not exists (select from pg_index where indrelid = attrelid and indisunique and attnum = any (indkey))
            and not exists (select from pg_constraint
                            where conrelid = attrelid and contype = 'f' and attnum = any (conkey))
        ) order by attnum)
        from pg_attribute join pg_type on pg_type.oid = atttypid
        where attrelid = pg_class.oid and attnum > 0 and not attisdropped)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind = 'r' and relpersistence = 'p' and nspname !~ '^pg_' and nspname <> 'information_schema'
  and pg_has_role(relowner, 'usage')
order by 1
"""


@dataclass(frozen=True)
class Column:
    """A name is as SQL wants it; `is_free` when no key, constraint or expression governs the value."""

    name: str
    type: str
    has_limit: bool
    is_free: bool


@dataclass(frozen=True)
class Table:
    name: str
    bare_name: str
    rows: int
    columns: tuple[Column, ...]


def read_tables(session: cursor) -> tuple[Table, ...]:
    """The tables that we own, the richest first."""
    session.execute(TABLES)
    found = []
    for name, bare_name, columns in session.fetchall():
        session.execute(sql.SQL("select count(*) from {}").format(sql.SQL(name)))
        ((rows,),) = session.fetchall()
        found.append(Table(name, bare_name, rows, tuple(Column(*column) for column in columns or ())))
    return tuple(sorted(found, key=lambda table: -table.rows))
