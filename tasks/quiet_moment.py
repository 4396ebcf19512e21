"""An exact cut without a lock: a snapshot, and a moment T at which a point-in-time restore shows just what it shows.

A restore to T replays the commits in the order of the log, up to the first whose timestamp lies behind T. A session
holds a snapshot S, whose statement also read the clock: t1. (1) S lists nobody in progress. Then another session (2)
finds nobody in pg_locks who holds a transaction id, and *then* (3) sees that a new snapshot has S's xmax. Any T after
t1 and before (2) will do: the clock just before (2), or a whole second that has passed between the two. Why:

A transaction that writes takes its id, then the lock on it. At its end it notes its timestamp, writes its commit to
the log, leaves the list of those in progress - the xmax of new snapshots is above its id now - and drops the lock last.
* Who is visible in S has left that list before S: its timestamp lies before t1, and its commit in the log before every
  commit with a timestamp behind T, since these noted it after S. So the restore has it.
* Suppose that X is not visible in S, and has a timestamp up to T. It had its lock before T. Either it has it still at
  (2), and is seen; or it has left the list before, so that (3) shows an xmax above X's id. As that is S's xmax, X was
  below it and not visible: in progress in S, and listed by (1). So there is no such X (an aborted one leaves no row).

S.xmax is the newest *finished* id + 1: a writer with a later id is not listed in S. So (1) alone proves nothing.
Prepared transactions hold their id in pg_locks too. All this is PostgreSQL's own clock, which must not be set back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg2.extensions import connection

from tasks.errors import WaitTimedOut
from tasks.postgres import Address, ask, open_session
from tasks.waiting import wait_until

PATIENCE_SECONDS = 20.0
SHORTEST_PAUSE_SECONDS = 0.02
BEGINNING = "select clock_timestamp()"
SNAPSHOT = """
select pg_catalog.pg_snapshot_xmax(s)::text, array(select pg_catalog.pg_snapshot_xip(s))::text[],
       pg_catalog.clock_timestamp()
  from pg_catalog.pg_current_snapshot() as s"""
# now() is when the looking transaction began: before it looks. xact_start is shown to pg_read_all_stats only.
WRITERS = """
select pg_catalog.now(), count(*),
       (select min(xact_start) from pg_catalog.pg_stat_activity where backend_xid is not null)
  from pg_catalog.pg_locks where locktype = 'transactionid' and granted"""
# For an API that takes its times in whole seconds: the next one, when it has passed.
NEXT_SECOND = """
with next as (select date_trunc('second', clock_timestamp()) + interval '1 second' as second)
select second from next, pg_catalog.pg_sleep_until(second)"""
AFTERWARDS = "select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text, pg_catalog.clock_timestamp()"


@dataclass(frozen=True)
class Cut:
    """The snapshot shows the database at `taken_at`: exactly, or as it was between `earliest` and `latest`."""

    taken_at: datetime
    is_exact: bool
    earliest: datetime
    latest: datetime

    @property
    def width(self) -> timedelta:
        """How uncertain the moment is."""
        return timedelta(0) if self.is_exact else self.latest - self.earliest

    def __str__(self) -> str:
        how = "exactly" if self.is_exact else f"within {self.width.total_seconds():.3f} s, somebody was writing"
        return f"{self.taken_at.isoformat()} ({how})"


@contextmanager
def open_quiet_moment(
    address: Address, patience_seconds: float = PATIENCE_SECONDS, *, whole_second: bool = False
) -> Iterator[tuple[connection, Cut]]:
    """A read-only session whose transaction sees the cut; where nobody stops writing, one that is not exact."""
    with open_session(address) as session, open_session(address) as observer:
        cuts: list[Cut] = []

        def attempt() -> bool:
            session.rollback()
            cuts.append(_cut(session, observer, whole_second))
            return cuts[-1].is_exact

        try:
            wait_until(
                f"{address}",
                attempt,
                lambda is_exact: is_exact,
                timeout_seconds=patience_seconds,
                expected="a moment in which nobody writes",
                shortest_poll_seconds=SHORTEST_PAUSE_SECONDS,
            )
        except WaitTimedOut:
            pass  # the last cut says so itself
        observer.close()
        yield session, cuts[-1]


def _cut(session: connection, observer: connection, whole_second: bool) -> Cut:
    ((beginning,),) = _in_a_new_transaction(observer, BEGINNING)
    ((xmax, listed, snapshot_at),) = ask(session, SNAPSHOT)
    second = _in_a_new_transaction(observer, NEXT_SECOND)[0][0] if whole_second else None
    ((before_look, writers, oldest),) = _in_a_new_transaction(observer, WRITERS)
    ((xmax_afterwards, ending),) = _in_a_new_transaction(observer, AFTERWARDS)
    moment = second or before_look
    is_quiet = not listed and not writers and xmax_afterwards == xmax and moment > snapshot_at
    return Cut(moment if is_quiet else snapshot_at, is_quiet, min(beginning, oldest or beginning), ending)


def _in_a_new_transaction(observer: connection, statement: str) -> list[tuple[Any, ...]]:
    observer.rollback()
    return ask(observer, statement)
