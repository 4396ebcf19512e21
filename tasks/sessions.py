"""The sessions of a database: who holds a connection without using it, and how to take it back (D26)."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.errors import PreconditionFailed, VerificationFailed, WaitTimedOut
from tasks.kinds import action, probe
from tasks.postgres import APPLICATION_NAME, Address, NoSlotLeft, ask, open_session
from tasks.verifier_role import read_master_address
from tasks.waiting import wait_until

STATEMENT_SECONDS = 30
# In a storm a slot comes free now and then; where none does in two minutes, somebody holds them all for good.
ENTER_SECONDS = 120
ENTER_POLL_SECONDS = 0.5
GONE_SECONDS = 60
MOST_LINES = 50
# RDS's own: rdsadmin, rdsrepladmin, rdstopmgr. Replication has another backend_type than a client.
SPARED = sql.SQL("(s.usename like 'rds%' or r.rolsuper or s.pid = pg_backend_pid() or s.application_name = {})")
CLIENTS = "pg_catalog.pg_stat_activity s join pg_catalog.pg_roles r on r.oid = s.usesysid"
IDLE = sql.SQL("""
select s.pid, s.backend_start, s.state_change, s.usename::text, s.application_name, s.state,
       extract(epoch from clock_timestamp() - s.state_change)::float8
  from {clients}
 where s.backend_type = 'client backend' and s.state like 'idle%' and not {spared}
       and s.state_change < clock_timestamp() - {seconds} * interval '1 second'
 order by s.state = 'idle', s.state_change""")
# What we may not see of others is NULL, what kind they are too: they would count as not there.
USED = f"""
select count(*) filter (where s.backend_type = 'client backend'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0),
       count(*) filter (where s.backend_type is null and not r.rolsuper)
  from {CLIENTS}"""  # noqa: S608 - a constant
# One statement looks and ends: a session that was used since it was shown has another state_change and stays.
TERMINATE = sql.SQL("""
select pg_catalog.pg_terminate_backend(s.pid) from {clients}
 where s.pid = {pid} and s.backend_start = {backend_start} and s.state_change = {state_change}
       and s.state like 'idle%' and not {spared}""")
TERMINATE_APPLICATION = sql.SQL("""
select pg_catalog.pg_terminate_backend(s.pid) from {clients}
 where s.backend_type = 'client backend' and s.application_name = {application} and not {spared}""")


@dataclass(frozen=True)
class Session:
    """One that waits for its client. A pid is used again; with the time of its beginning it is not."""

    pid: int
    backend_start: datetime
    state_change: datetime
    user: str
    application: str
    state: str
    idle_seconds: float

    def __str__(self) -> str:
        who = f"{self.pid} of {self.user} ({self.application or 'unnamed'})"
        return f"{who}, {self.state} for {self.idle_seconds:.0f} s"


@dataclass(frozen=True)
class SessionPlan:
    """Which sessions end, those that hold a transaction open first. The rule is approved; its hash outlives a kill."""

    environment: str
    idle_minutes: float
    sessions: tuple[Session, ...]
    used: int
    allowed: int

    @property
    def free(self) -> int:
        return max(self.allowed - self.used, 0)

    @property
    def hash(self) -> str:
        essence = f"end idle sessions of {self.environment} after {self.idle_minutes:g} minutes"
        return hashlib.sha256(essence.encode()).hexdigest()[:12]

    def table(self) -> list[str]:
        """Markdown: how many by what they are, then each, up to a bound."""
        kinds = Counter((one.state, one.user, one.application) for one in self.sessions)
        lines = ["| sessions | state | user | application |", "|---|---|---|---|"]
        lines += [f"| {count} | {' | '.join(map(_cell, kind))} |" for kind, count in kinds.items()]
        return lines + [str(one) for one in self.sessions[:MOST_LINES]]

    def __str__(self) -> str:
        return (
            f"end {len(self.sessions)} sessions of {self.environment} that are idle for more than"
            f" {self.idle_minutes:g} minutes; {self.used} of {self.allowed} connections are in use"
        )


@probe
def plan_end(environment: str, idle_minutes: float) -> SessionPlan:
    """Look which sessions it would be now.

    Raises:
        PreconditionFailed: the database lets nobody in, or does not show us what its sessions do.
    """
    with _entered(environment) as session:
        used, allowed = _count(session)
        rows = ask(session, _fill(IDLE, seconds=idle_minutes * 60))
    return SessionPlan(environment, idle_minutes, tuple(Session(*row) for row in rows), used, allowed)


@action
def terminate_backends(environment: str, sessions: Sequence[Session]) -> int:
    """Ask PostgreSQL to end these, one after the other in this order; how many were still idle, and ended."""
    ended = 0
    with _entered(environment) as session:
        for one in sessions:
            session.rollback()  # what a transaction has seen of the activity once, it sees until its end
            asked = _fill(TERMINATE, pid=one.pid, backend_start=one.backend_start, state_change=one.state_change)
            ended += ask(session, asked) == [(True,)]
    return ended


@action
def terminate_application(environment: str, application: str) -> None:
    """End every session that calls itself so, whatever it does."""
    with _entered(environment) as session:
        ask(session, _fill(TERMINATE_APPLICATION, application=application))


@probe
def wait_until_ended(environment: str, sessions: Sequence[Session]) -> SessionPlan:
    """None of them is there any more, save those that were used meanwhile; what is in use now.

    Raises:
        VerificationFailed: some do not end although PostgreSQL was asked.
    """
    idle = {(one.pid, one.backend_start, one.state_change) for one in sessions}

    def left() -> SessionPlan:
        found = plan_end.fn(environment, 0.0)
        same = [one for one in found.sessions if (one.pid, one.backend_start, one.state_change) in idle]
        return SessionPlan(environment, 0.0, tuple(same), found.used, found.allowed)

    try:
        return wait_until(
            f"database of {environment}",
            left,
            lambda found: not found.sessions,
            timeout_seconds=GONE_SECONDS,
            expected="none of the sessions that were ended",
        )
    except WaitTimedOut as error:
        raise VerificationFailed(f"{error} Look into pg_stat_activity for what they wait for") from error


@contextmanager
def _entered(environment: str) -> Iterator[connection]:
    """As the master user, who may end sessions; patient, since the next slot may be free in a moment."""
    address = read_master_address(environment)
    with ExitStack() as entered:

        def enter() -> connection | NoSlotLeft:
            try:
                return entered.enter_context(open_session(address, STATEMENT_SECONDS))
            except NoSlotLeft as refusal:
                return refusal

        yield _wait_for_slot(environment, address, enter)


def _wait_for_slot(environment: str, address: Address, enter: Callable[[], connection | NoSlotLeft]) -> connection:
    try:
        found = wait_until(
            str(address),
            enter,
            lambda session: not isinstance(session, NoSlotLeft),
            timeout_seconds=ENTER_SECONDS,
            expected="a free connection",
            shortest_poll_seconds=ENTER_POLL_SECONDS,
        )
    except WaitTimedOut as error:
        raise PreconditionFailed(
            f"{error} Nothing was changed. Reset the application's pools, which gives their connections back:"
            f" python -m flows.refresh_instances --environment {environment} --request <incident>"
        ) from error
    assert isinstance(found, connection)  # noqa: S101 - wait_until has seen it
    return found


def _count(session: connection) -> tuple[int, int]:
    """Connections in use, and how many there may be."""
    ((used, allowed, hidden),) = ask(session, USED)
    if hidden:
        raise PreconditionFailed(
            f"{hidden} of {used} sessions do not show us what they do, expected none: the master user must be a member"
            " of pg_monitor, as RDS makes it. Nothing was changed"
        )
    return used, allowed


def _fill(statement: sql.SQL, **values: Any) -> sql.Composed:
    spared = SPARED.format(sql.Literal(APPLICATION_NAME))
    named = {name: sql.Literal(value) for name, value in values.items()}
    return statement.format(clients=sql.SQL(CLIENTS), spared=spared, **named)


def _cell(text: str) -> str:
    """An application names itself as it likes, also so that it would break a table."""
    return text.replace("|", "/").replace("\n", " ") or "-"
