"""Rows that a drill deletes as by accident: what they were is kept in the backup bucket until the drill has ended."""

from datetime import datetime
from typing import TYPE_CHECKING

from psycopg2 import sql

from tasks import aws, s3
from tasks.environment import Environment
from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe
from tasks.postgres import Address, ask, open_session
from tasks.verifier_role import read_master_address

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

STATEMENT_SECONDS = 60
MOST_ROWS = 100
NEWEST = "select id from items order by id desc limit {most}"
KEPT = "select coalesce(json_agg(one), '[]')::text from items as one where id = any({ids})"
DELETED = "delete from items where id = any({ids})"
# Rows that nobody deleted, or that a recovery has brought back, are left as they are.
BROUGHT_BACK = """
insert into items overriding system value
select * from jsonb_populate_recordset(null::items, {rows}) on conflict do nothing"""
DIGEST = "select md5(coalesce(string_agg(one::text, '|' order by id), '')) from items as one where id = any({ids})"
LEFT = "select count(*) from items where id = any({ids})"


@probe
def find_newest_items(environment: Environment) -> list[int]:
    """
    Raises:
        PreconditionFailed: there is none. Nothing was changed.
    """
    with open_session(_master(environment), STATEMENT_SECONDS) as session:
        ids = [one for (one,) in ask(session, _fill(NEWEST, most=MOST_ROWS))]
    if not ids:
        raise PreconditionFailed(f"the database of {environment} has no items, expected some that can be deleted")
    return ids


@action
def keep_rows(environment: Environment, name: str, ids: list[int]) -> datetime:
    """Write them down, once; the database's clock, before anything is deleted."""
    with open_session(_master(environment), STATEMENT_SECONDS) as session:
        ((rows,),) = ask(session, _fill(KEPT, ids=ids))
        if s3.find_object(environment.backup_bucket, _key(name)) is None:
            _s3().put_object(Bucket=environment.backup_bucket, Key=_key(name), Body=rows.encode())
        ((now,),) = ask(session, "select clock_timestamp()")
    moment: datetime = now
    return moment


@action
def delete_rows(environment: Environment, ids: list[int]) -> None:
    with open_session(_master(environment), STATEMENT_SECONDS, read_only=False) as session:
        ask(session, _fill(DELETED, ids=ids))
        session.commit()


@probe
def count_rows(environment: Environment, ids: list[int]) -> int:
    with open_session(_master(environment), STATEMENT_SECONDS) as session:
        ((count,),) = ask(session, _fill(LEFT, ids=ids))
    return int(count)


@probe
def digest_rows(environment: Environment, ids: list[int]) -> str:
    """Of every column of them."""
    with open_session(_master(environment), STATEMENT_SECONDS) as session:
        ((digest,),) = ask(session, _fill(DIGEST, ids=ids))
    return str(digest)


@action
def bring_back_rows(environment: Environment, name: str) -> None:
    """Those that are missing, as they were."""
    rows = s3.find_object(environment.backup_bucket, _key(name))
    if rows is None:
        return
    with open_session(_master(environment), STATEMENT_SECONDS, read_only=False) as session:
        ask(session, _fill(BROUGHT_BACK, rows=rows.decode()))
        session.commit()


@action
def forget_rows(environment: Environment, name: str) -> None:
    _s3().delete_object(Bucket=environment.backup_bucket, Key=_key(name))


def _master(environment: Environment) -> Address:
    return read_master_address(environment.environment)


def _key(name: str) -> str:
    return f"drills/{name}/items.json"


def _fill(statement: str, **values: object) -> sql.Composed:
    return sql.SQL(statement).format(**{name: sql.Literal(value) for name, value in values.items()})


def _s3() -> "S3Client":
    client: S3Client = aws.client("s3")
    return client
