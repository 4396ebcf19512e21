"""How fresh a restored database is: the application's heartbeats up to the restore point, and none after it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.verdict import Verdict

LAYER = "L2 freshness"
EVERY = timedelta(minutes=1)
# A heartbeat is due within seconds of its minute: whoever writes it looks every 10 s, and waits up to 7 s for a lock.
LATE = timedelta(seconds=20)
# Between the time that a heartbeat carries and its commit, a restore may stop.
UNCOMMITTED = timedelta(seconds=7)

# Found by its name alone: the session's search path may be empty.
CHAIN = """
select nspname, relname from pg_catalog.pg_class join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
where relname = 'heartbeat_chain' and relkind = 'v'
"""
SUMMARY = """
select count(*), min(sequence), max(sequence), max(written_at),
       count(*) filter (where not intact), min(sequence) filter (where not intact),
       count(*) filter (where written_at > %(latest)s),
       count(*) filter (where pause > %(every)s), max(pause) filter (where pause > %(every)s)
from (select chain.*, minute - lag(minute) over (order by sequence) as pause from {chain} as chain) as chain
"""
DIGEST = "select digest from {chain} where sequence = %(newest)s"
LACKING = """
select count(*), min(written_at), max(written_at) from {chain}
where sequence > %(newest)s and written_at <= %(committed)s
"""


@dataclass(frozen=True)
class Chain:
    """What the heartbeats of one database are, looked at as one chain."""

    rows: int
    oldest: int | None
    newest: int | None
    newest_at: datetime | None
    broken: int
    first_broken: int | None
    after: int
    pauses: int
    longest_pause: timedelta | None


@dataclass(frozen=True)
class Loss:
    """What the source has and the copy certainly lacks; None: the two can't be compared."""

    at_least: timedelta | None
    reason: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        return (self.reason,) if self.reason else ()


@dataclass(frozen=True)
class Freshness:
    """`rpo` is measured: what was lost before the restore point is at least and at most so much; None: unknown."""

    verdict: Verdict
    rpo: tuple[timedelta, timedelta] | None


def judge_freshness(
    copy: connection, earliest: datetime, latest: datetime | None = None, source: connection | None = None
) -> Freshness:
    """L2: every heartbeat up to the restore point, in one unbroken chain, and none after it.

    Args:
        earliest: the restore point; of a snapshot, whose moment is only known as an interval, its beginning.
        latest: the end of that interval.
        source: where the copy comes from. With it, the rows are compared too, and a pause of the application right
            before the restore point can be told from a loss.
    """
    latest = latest or earliest
    view = _find_chain(copy)
    if view is None:
        return _unknown("there is no view heartbeat_chain, expected the application's: is this its database?")
    chain = _summarize(copy, view, latest)
    if chain.newest_at is None:
        return _unknown(f"there is no heartbeat, expected one a minute up to {_clock(earliest)}")
    lost, reasons = Loss(timedelta(0)), _breaks(chain, latest)
    if source is not None:
        lost = _compare(copy, view, source, chain, earliest)
    elif chain.newest_at < earliest - EVERY - LATE:
        reasons.append(
            f"the newest heartbeat is of {_clock(chain.newest_at)}, expected one of the last"
            f" {(EVERY + LATE).seconds} s before {_clock(earliest)}: the copy is too old, or the application was down"
        )
    verdict = Verdict(LAYER, (*reasons, *lost.reasons), _facts(chain))
    if lost.at_least is None:
        return Freshness(verdict, None)
    rpo = lost.at_least, max(latest - chain.newest_at, timedelta(0))
    fact = "RPO: between {:.0f} and {:.0f} s of data before the restore point are not in the copy"
    measured = fact.format(*(length.total_seconds() for length in rpo))
    compared = "compared with the source's heartbeats" if source is not None else "not compared with the source's"
    return Freshness(replace(verdict, facts=(*verdict.facts, f"{measured}, {compared}")), rpo)


def _find_chain(database: connection) -> sql.Composable | None:
    with database.cursor() as session:
        session.execute(CHAIN)
        found = session.fetchall()
    return sql.Identifier(*found[0]) if len(found) == 1 else None


def _summarize(database: connection, view: sql.Composable, latest: datetime) -> Chain:
    (found,) = _ask(database, SUMMARY, view, latest=latest, every=EVERY)
    return Chain(*found)


def _breaks(chain: Chain, latest: datetime) -> list[str]:
    reasons = []
    if chain.broken:
        reasons.append(
            f"the chain of heartbeats is broken in {chain.broken} places, first at number {chain.first_broken},"
            " expected each to follow the one before: rows are missing, changed or of another database"
        )
    if chain.after:
        reasons.append(
            f"{chain.after} heartbeats are newer than the restore point, up to that of {_clock(chain.newest_at)},"
            f" expected none after {_clock(latest)}"
        )
    return reasons


def _compare(copy: connection, view: sql.Composable, source: connection, chain: Chain, earliest: datetime) -> Loss:
    """One digest covers every row before it: two unbroken chains with the same newest digest have the same rows."""
    theirs = _find_chain(source)
    if theirs is None:
        return Loss(None, "the source has no view heartbeat_chain, expected the one that the copy has")
    ((ours,),) = _ask(copy, DIGEST, view, newest=chain.newest)
    if _ask(source, DIGEST, theirs, newest=chain.newest) != [(ours,)]:
        return Loss(
            None,
            f"the source has no heartbeat number {chain.newest} with the copy's digest, expected it: the copy is of"
            " another database, or is newer than the source",
        )
    ((lacking, first, last),) = _ask(source, LACKING, theirs, newest=chain.newest, committed=earliest - UNCOMMITTED)
    if not lacking:
        return Loss(timedelta(0))
    return Loss(
        earliest - first,
        f"{lacking} heartbeats of the source are missing, of {_clock(first)} to {_clock(last)}, expected all up to"
        f" {_clock(earliest)}: at least {(earliest - first).total_seconds():.0f} s of data are lost",
    )


def _facts(chain: Chain) -> tuple[str, ...]:
    fact = f"{chain.rows} heartbeats, number {chain.oldest} to {chain.newest}, the newest of {_clock(chain.newest_at)}"
    if not chain.pauses:
        return (fact,)
    return (fact, f"the application was silent {chain.pauses} times, for {chain.longest_pause} at most")


def _unknown(reason: str) -> Freshness:
    return Freshness(Verdict(LAYER, (reason,)), None)


def _ask(database: connection, query: str, view: sql.Composable, **values: Any) -> list[tuple[Any, ...]]:
    with database.cursor() as session:
        session.execute(sql.SQL(query).format(chain=view), values)
        return session.fetchall()


def _clock(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else "no time"
