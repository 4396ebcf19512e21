"""One row a minute, written by whichever process comes first: what a restored database is measured against."""

from datetime import datetime

from psycopg2.extensions import connection

HEARTBEAT_LOCK = 0x6865617274  # "heart"
LOCK_TIMEOUT_S = 2

# The database's clock by default: instances' clocks may differ, and the chain must not run ahead of its database.
MINUTE = "coalesce(%(minute)s, date_trunc('minute', clock_timestamp()))"
WRITTEN = f"select exists (select from heartbeats where minute >= {MINUTE})"  # noqa: S608 - constants only
WRITE = f"""
insert into heartbeats (minute, sequence, written_at, instance, digest)
select minute, sequence, written_at, %(instance)s,
       heartbeat_digest(previous, sequence, minute, written_at, %(instance)s)
from (
    select {MINUTE} as minute, clock_timestamp() as written_at,
           coalesce(last.sequence, 0) + 1 as sequence, last.digest as previous, last.minute as last_minute
    from (select) as always
    left join (select * from heartbeats order by sequence desc limit 1) as last on true
) as next
where last_minute is null or last_minute < minute
on conflict (minute) do nothing
"""  # noqa: S608 - constants only


def beat(database: connection, instance: str, minute: datetime | None = None) -> bool:
    """Write the minute's row unless it is there; returns whether this call wrote it."""
    values = {"minute": minute, "instance": instance}
    with database, database.cursor() as sql:
        sql.execute(WRITTEN, values)
        if sql.fetchone() == (True,):
            return False
        sql.execute("select set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_S}s",))
        # Held until the commit: the next writer sees this row, so the sequence has no holes and the chain one end.
        sql.execute("select pg_advisory_xact_lock(%s)", (HEARTBEAT_LOCK,))
        sql.execute(WRITE, values)
        return sql.rowcount == 1
