"""What the verifying role must be and what it can do, as it sees it itself with only its rights to hold it back."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import connection

ROLE = "runbook_verifier"
CONNECTION_LIMIT = 4
READ_ONLY = "default_transaction_read_only=on"
# What a master user, who is no superuser, may hand on: reading all tables, and all statistics and settings.
MEMBER_OF = ("pg_monitor", "pg_read_all_data")

DESCRIBE = """
select rolcanlogin and not (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls),
       rolconnlimit, coalesce(rolconfig, '{}'),
       array(select roleid::regrole::text from pg_auth_members where member = pg_roles.oid order by 1)
from pg_roles where rolname = %s"""
OF_USERS = "nspname !~ '^pg_' and nspname <> 'information_schema'"
WRITABLE = f"""
with relations as (select c.oid, relkind, format('%I.%I', nspname, relname) as name
                   from pg_class c join pg_namespace n on n.oid = relnamespace where {OF_USERS})
select privilege || ' on ' || name from relations,
       unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) privilege
where relkind in ('r', 'p', 'v', 'm', 'f')
      and (has_table_privilege(oid, privilege) or (privilege in ('INSERT', 'UPDATE', 'REFERENCES')
                                                   and has_any_column_privilege(oid, privilege)))
union all select privilege || ' on ' || name from relations, unnest(array['USAGE', 'UPDATE']) privilege
where relkind = 'S' and has_sequence_privilege(oid, privilege)
union all select 'CREATE in schema ' || nspname from pg_namespace
where {OF_USERS} and has_schema_privilege(oid, 'CREATE')
union all select 'CREATE in database ' || datname from pg_database where has_database_privilege(oid, 'CREATE')
union all select 'owner of ' || pg_describe_object(classid, objid, objsubid) from pg_shdepend
where deptype = 'o' and refclassid = 'pg_authid'::regclass and refobjid = current_user::regrole
      and dbid in (0, (select oid from pg_database where datname = current_database()))"""  # noqa: S608 - constants
UNREADABLE = f"""
select format('%I.%I', nspname, relname) from pg_class c join pg_namespace n on n.oid = relnamespace
where {OF_USERS} and relkind in ('r', 'p', 'v', 'm', 'S')
      and (not has_schema_privilege(n.oid, 'USAGE') or relrowsecurity
           or not case relkind when 'S' then has_sequence_privilege(c.oid, 'SELECT')
                               else has_table_privilege(c.oid, 'SELECT') end)"""  # noqa: S608 - constants
# Each table with one column that a statement may name.
TABLES = f"""
select distinct on (c.oid) nspname, relname, attname
from pg_class c join pg_namespace n on n.oid = relnamespace join pg_attribute on attrelid = c.oid
where {OF_USERS} and relkind in ('r', 'p') and attnum > 0 and not attisdropped and attgenerated = ''
      and attidentity = '' order by c.oid, attnum"""  # noqa: S608 - constants
# Allowed or not, none of these would change a row: PostgreSQL asks for the right before it looks for rows.
ATTEMPTS = (
    "insert into {table} ({column}) select {column} from {table} where false",
    "update {table} set {column} = {column} where false",
    "delete from {table} where false",
)
CREATIONS = ("create table public.runbook_attempt (n integer)", "create schema runbook_attempt")
# What PostgreSQL gives to everybody, and a master user can't take back from one role alone.
FREEDOMS = """
select 'may change its own password and settings, as every role may'
union all select 'may make temporary tables, as PUBLIC may: they end with the session'
where has_database_privilege(current_database(), 'TEMPORARY')
union all select 'may make large objects of its own, as every role may'
where has_function_privilege('lo_creat(integer)', 'EXECUTE')
union all select 'may call ' || p.oid::regprocedure || ', which acts with the rights of its owner'
from pg_proc p join pg_namespace n on n.oid = pronamespace
where prosecdef and nspname !~ '^pg_' and has_function_privilege(p.oid, 'EXECUTE')"""


class Role(NamedTuple):
    is_plain: bool
    connection_limit: int
    settings: list[str]
    groups: list[str]


def describe(session: connection) -> Role | None:
    found = ask(session, DESCRIBE, ROLE)
    return Role(*found[0]) if found else None


def differences(session: connection) -> list[str]:
    """What of the role is not as it must be."""
    role = describe(session)
    if role is None:
        return [f"role {ROLE}, which does not exist"]
    groups = ", ".join(role.groups) or "none"
    checks = {
        "its attributes, expected LOGIN and nothing else": role.is_plain,
        f"its connection limit {role.connection_limit}, expected {CONNECTION_LIMIT}": role.connection_limit
        == CONNECTION_LIMIT,
        f"its settings {role.settings}, expected {READ_ONLY}": READ_ONLY in role.settings,
        f"its memberships {groups}, expected {', '.join(MEMBER_OF)}": set(role.groups) == set(MEMBER_OF),
    }
    return [text for text, is_right in checks.items() if not is_right]


def judge_rights(session: connection) -> tuple[list[str], list[str]]:
    """What is wrong with the role that `session`, which is not read only, is of; and what was seen of it."""
    faults = differences(session)
    if ask(session, "show default_transaction_read_only") != [("on",)]:
        faults.append("its sessions may write by default, expected read only ones")
    ask(session, "set default_transaction_read_only = off")
    session.commit()
    if ask(session, "show transaction_read_only") != [("off",)]:
        faults.append("its session is read only, expected one that only its rights hold back")
    faults += [f"it has the right {right}" for (right,) in ask(session, WRITABLE)]
    faults += [f"it can't read all of {name}" for (name,) in ask(session, UNREADABLE)]
    freedoms = [text for (text,) in ask(session, FREEDOMS)]
    tables = ask(session, TABLES)
    attempts = [*map(sql.SQL, CREATIONS), *_attempts(tables)]
    session.rollback()
    faults += [f"it was let: {one.as_string(session)}" for one in attempts if not _is_refused(session, one)]
    return faults, [
        f"it reads every table ({len(tables)}), and its sessions are read only by default",
        f"{len(attempts)} attempts to write were refused, with that default switched off",
        *(f"it {freedom}" for freedom in freedoms),
    ]


def _attempts(tables: Iterable[tuple[Any, ...]]) -> list[sql.Composable]:
    return [
        sql.SQL(attempt).format(table=sql.Identifier(schema, table), column=sql.Identifier(column))
        for schema, table, column in tables
        for attempt in ATTEMPTS
    ]


def _is_refused(session: connection, attempt: sql.Composable) -> bool:
    try:
        ask(session, attempt)
    except InsufficientPrivilege:
        return True
    finally:
        session.rollback()
    return False


def ask(session: connection, statement: str | sql.Composable, *values: Any) -> list[tuple[Any, ...]]:
    with session.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []
