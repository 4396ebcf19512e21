"""Who may write into a database: nobody while it is replaced, and the application again afterwards."""

import time
from collections.abc import Iterable
from datetime import UTC

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe
from tasks.postgres import Address, ask, open_session
from tasks.waiting import wait_until

STATEMENT_SECONDS = 60
ENDED_SECONDS = 60
CONNECTED_SECONDS = 300  # the application reads its secret every 15 s, and sooner once it lost its database
# Each of its processes has read its secret in this time, or has shown itself by a heartbeat where it was before.
MOVED_SECONDS = 20.0

# A role's own setting goes over the database's.
EXEMPT = """
select distinct coalesce(rolname, 'every role') from pg_db_role_setting left join pg_roles on pg_roles.oid = setrole,
       unnest(setconfig) as setting
where setting in ('default_transaction_read_only=off', 'default_transaction_read_only=false')
      and setdatabase in (0, (select oid from pg_database where datname = current_database()))"""
# All but RDS's own, and the roles that can't write anyway.
OTHERS = """
from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
     and backend_type = 'client backend' and usename <> 'rdsadmin' and application_name <> 'runbook'"""
END = f"select pg_terminate_backend(pid) {OTHERS}"
END_APPLICATION = f"select pg_terminate_backend(pid) {OTHERS} and application_name ~ '^app '"
OLDER = f"select count(*) {OTHERS} and backend_start <= {{}}"
CLOSED = """
select exists (select from pg_db_role_setting, unnest(setconfig) as setting where setrole = 0
       and setdatabase = (select oid from pg_database where datname = current_database())
       and setting = 'default_transaction_read_only=on')"""
CONNECTED = """
select distinct split_part(application_name, ' ', 2) from pg_stat_activity
where datname = current_database() and application_name ~ '^app '"""


@action
def keep_out(address: Address) -> str:
    """From the moment that is returned on nobody writes: new sessions only read, and those of before are ended.

    Raises:
        PreconditionFailed: a role may write all the same. Nothing was changed.
    """
    with open_session(address, STATEMENT_SECONDS, read_only=False) as session:
        if exempt := [name for (name,) in ask(session, EXEMPT)]:
            raise PreconditionFailed(
                f"{', '.join(exempt)} may write into {address} whatever the database says"
                " (default_transaction_read_only=off), expected no such role: alter role ... reset, then again"
            )
        _set(session, "set default_transaction_read_only = on")
        ((closed_at,),) = ask(session, "select clock_timestamp()")
        _end_sessions(session, closed_at)
        ((ended_at,),) = ask(session, "select clock_timestamp()")
    return str(ended_at.astimezone(UTC).isoformat(timespec="milliseconds"))


@action
def let_in(address: Address) -> None:
    """Sessions write again; those that were told to only read are ended, and open again by themselves."""
    with open_session(address, STATEMENT_SECONDS, read_only=False) as session:
        _set(session, "reset default_transaction_read_only")
        ((opened_at,),) = ask(session, "select clock_timestamp()")
        _end_sessions(session, opened_at)


@action
def send_away(address: Address) -> None:
    """The application's secret names another database: this one ends its sessions until none came back for 20 s.

    An instance of it is several processes, each with an address of its own: one that serves from the new database
    says nothing of the one beside it.
    """
    last_seen = time.monotonic()

    def look() -> float:
        nonlocal last_seen
        with open_session(address, STATEMENT_SECONDS, read_only=False) as session:
            if ask(session, END_APPLICATION):
                last_seen = time.monotonic()
        return time.monotonic() - last_seen

    wait_until(
        f"seconds since a session of the application in {address}",
        look,
        lambda quiet: quiet >= MOVED_SECONDS,
        timeout_seconds=CONNECTED_SECONDS,
        expected=f"{MOVED_SECONDS:g}, as its secret names another database",
        shortest_poll_seconds=0.5,
    )


@probe
def is_closed(address: Address) -> bool:
    with open_session(address, STATEMENT_SECONDS) as session:
        return ask(session, CLOSED) == [(True,)]


@probe
def wait_until_connected(address: Address, instance_ids: Iterable[str]) -> None:
    """Every one of these instances of the application has a session in this very database."""
    wanted = set(instance_ids)
    wait_until(
        f"instances with a session in {address}",
        lambda: sorted(_find_connected(address)),
        lambda seen: wanted <= set(seen),
        timeout_seconds=CONNECTED_SECONDS,
        expected=f"{', '.join(sorted(wanted)) or 'none'} among them",
        shortest_poll_seconds=1.0,
    )


def _set(session: connection, what: str) -> None:
    name = sql.Identifier(session.info.dbname)
    ask(session, sql.SQL("alter database {} " + what).format(name))
    session.commit()


def _end_sessions(session: connection, moment: object) -> None:
    """Each session that is older than the moment: it knows the former setting."""

    def look() -> int:
        session.rollback()
        ask(session, END)
        ((older,),) = ask(session, sql.SQL(OLDER).format(sql.Literal(moment)))
        return int(older)

    wait_until(
        f"sessions of {session.info.dbname} on {session.info.host} from before {moment}",
        look,
        lambda left: left == 0,
        timeout_seconds=ENDED_SECONDS,
        expected="none",
        shortest_poll_seconds=0.2,
    )


def _find_connected(address: Address) -> set[str]:
    try:
        with open_session(address, STATEMENT_SECONDS) as session:
            return {name for (name,) in ask(session, CONNECTED)}
    except (PreconditionFailed, psycopg2.OperationalError):
        return set()  # it restarts, or its name moves: look again
