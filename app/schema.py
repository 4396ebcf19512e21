"""The schema as numbered SQL files, and the range of versions this release runs on."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg2.extensions import connection, cursor

# Expand first, contract a release later: the range is what lets the previous release run beside this one.
SCHEMA_MIN = 2
SCHEMA_MAX = 2

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x6D696772617465  # "migrate": an arbitrary key all releases share
LOCK_TIMEOUT_S = 15

CREATE_JOURNAL = """
create table if not exists schema_migrations (
    version    integer primary key,
    name       text not null,
    applied_at timestamptz not null default now(),
    checksum   text not null
)"""
APPLIED = "select version, checksum from schema_migrations"
VERSION = "select coalesce(max(version), 0) from schema_migrations"


class SchemaMismatch(Exception):
    """This release can't run on the database's schema. Nothing was changed."""


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    return tuple(
        Migration(int(path.stem.split("_")[0]), path.stem, path.read_text())
        for path in sorted(MIGRATIONS.glob("*.sql"))
    )


def runs_on(version: int) -> bool:
    return SCHEMA_MIN <= version <= SCHEMA_MAX


def plan_migrations(applied: dict[int, str], known: tuple[Migration, ...]) -> list[Migration]:
    """What is still to be applied; refuses a schema that is newer or was changed behind our back."""
    newest = max(applied, default=0)
    if newest > SCHEMA_MAX:
        raise SchemaMismatch(f"schema version is {newest}, expected {SCHEMA_MIN} to {SCHEMA_MAX}")
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SchemaMismatch(f"migration {migration.name} was applied with another text")
    return [migration for migration in known if migration.version not in applied]


def migrate(database: connection) -> list[str]:
    """Apply what is missing, all or nothing, one process at a time; returns the names applied."""
    with database, database.cursor() as sql:
        if _journal_exists(sql) and not plan_migrations(_applied(sql), migrations()):
            return []
    with database, database.cursor() as sql:
        sql.execute("select set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_S}s",))
        sql.execute("select pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        sql.execute(CREATE_JOURNAL)
        missing = plan_migrations(_applied(sql), migrations())
        for migration in missing:
            _apply(sql, migration)
    return [migration.name for migration in missing]


def _journal_exists(sql: cursor) -> bool:
    sql.execute("select to_regclass('schema_migrations') is not null")
    return sql.fetchone() == (True,)


def _applied(sql: cursor) -> dict[int, str]:
    sql.execute(APPLIED)
    return dict(sql.fetchall())


def _apply(sql: cursor, migration: Migration) -> None:
    sql.execute(migration.sql)
    sql.execute(
        "insert into schema_migrations (version, name, checksum) values (%s, %s, %s)",
        (migration.version, migration.name, migration.checksum),
    )
