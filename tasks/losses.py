"""What was written into a database since a moment: counted and named, because it will not be in another one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg2 import sql

from tasks.kinds import probe
from tasks.postgres import Address, ask, open_session

STATEMENT_SECONDS = 300

# The times that the application gives each row, of every table of a user's, with its primary key.
TABLES = """
select nspname, relname,
       array(select attname::text from pg_attribute where attrelid = c.oid and not attisdropped
             and atttypid = 'timestamptz'::regtype and attname in ('created_at', 'updated_at', 'written_at')),
       array(select attname::text from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey)
             where indrelid = c.oid and indisprimary)
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'p') and not relispartition and nspname !~ '^pg_' and nspname <> 'information_schema'
order by 1, 2"""
COUNT = """
select count(*), min({key})::text, max({key})::text, min(greatest({times})), max(greatest({times}))
from {table} where greatest({times}) > {since}"""
HEARTBEAT = "select sequence, written_at from heartbeats where written_at <= {} order by sequence desc limit 1"
KNOWN = "select to_regclass('heartbeats') is not null"


@dataclass(frozen=True)
class Written:
    """Rows of one table; `first` and `last` are the ends of their keys."""

    table: str
    rows: int
    first: str
    last: str
    newest_at: datetime

    def __str__(self) -> str:
        keys = f" ({self.first} to {self.last})" if self.first else ""
        return f"{self.rows} of {self.table}{keys}, the newest of {_clock(self.newest_at)}"


@dataclass(frozen=True)
class Writes:
    """`blind`: tables whose rows do not say when they were written."""

    since: datetime
    tables: tuple[Written, ...]
    blind: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.tables)

    def __str__(self) -> str:
        found = "; ".join(map(str, self.tables)) or "no row"
        unknown = f"; not known of {', '.join(self.blind)}, whose rows carry no time" if self.blind else ""
        return f"written since {_clock(self.since)}: {found}{unknown}"


@probe
def find_writes(address: Address, since: datetime) -> Writes:
    """Rows made or changed since. What was deleted leaves no trace: it comes back, wanted or not."""
    with open_session(address, STATEMENT_SECONDS) as session:
        tables, blind = [], []
        for schema, name, times, key in ask(session, TABLES):
            if not times:
                blind.append(name)
                continue
            asked = sql.SQL(COUNT).format(
                key=sql.Identifier(key[0]) if len(key) == 1 else sql.SQL("null"),
                times=_listed(times),
                table=sql.Identifier(schema, name),
                since=sql.Literal(since),
            )
            ((rows, first, last, _, newest_at),) = ask(session, asked)
            if rows:
                tables.append(Written(name, rows, first or "", last or "", newest_at))
    return Writes(since, tuple(tables), tuple(blind))


@probe
def describe_last_heartbeat(address: Address, point: datetime) -> str:
    """The last good one: what the recovered database will end with."""
    with open_session(address, STATEMENT_SECONDS) as session:
        found = []
        if ask(session, KNOWN) == [(True,)]:
            found = ask(session, sql.SQL(HEARTBEAT).format(sql.Literal(point)))
    if not found:
        return f"no heartbeat is left of before {point.isoformat()}"
    ((sequence, written_at),) = found
    return f"the last heartbeat before the point is number {sequence} of {written_at.astimezone(UTC).isoformat()}"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _listed(names: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))
