"""The verifying role on a real database: it reads everything, and each way to write that we know of is refused."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import boto3
import httpx
import psycopg2
import pytest
from prefect.client.schemas.objects import State
from psycopg2.errors import InsufficientPrivilege

from app.schema import migrate
from flows.set_up_verifier import set_up_verifier
from tasks import state_backend
from tasks.errors import PreconditionFailed
from tasks.postgres import Address
from tasks.verifier_role import ensure_role, plan_verifier, read_verifier_address
from tests import killing
from tests.flows.conftest import reaching

NAME = "demo-flask-app-dev-db"
SECRET = f"{NAME}-verifier"
MASTER = {"engine": "postgres", "dbname": "demo_db", "username": "postgres", "password": "first-password"}
READS = (
    "select count(*) from items",
    "select bool_and(intact) from heartbeat_chain",
    "select last_value from items_id_seq",
    "select setting from pg_settings where name = 'log_directory'",
    "select heartbeat_digest('', 1, now(), now(), 'i-1')",
)
WRITES = (
    "insert into items (name, price) values ('written', 1)",
    "update items set price = 0",
    "delete from items",
    "truncate items",
    "copy items (name, price) from stdin",
    "select * from items for update",
    "alter table items add column written int",
    "drop table heartbeats",
    "create table written (n int)",
    "create index on items (name)",
    "create view written as select 1",
    "create function written() returns int language sql as 'select 1'",
    "create schema written",
    "create role written",
    "create extension pgcrypto",
    "select nextval('items_id_seq')",
    "select setval('items_id_seq', 1)",
    "lock table items in exclusive mode",
    "alter role runbook_verifier createrole",
    "grant pg_write_all_data to runbook_verifier",
    "set role postgres",
    "copy items to program 'true'",
)
Clients = Callable[[str], Any]


@pytest.fixture(scope="module")
def database(lab: dict[str, Any]) -> Iterator[Clients]:
    """The environment's database with the application's schema, its secret, and the table of locks."""
    httpx.post(f"{lab['url']}/lab/reset", timeout=60).raise_for_status()
    with reaching(lab["env"]):
        clients = boto3.session.Session().client
        rds = clients("rds")
        rds.create_db_instance(
            DBInstanceIdentifier=NAME,
            Engine="postgres",
            DBInstanceClass="db.t3.micro",
            AllocatedStorage=20,
            DBName="demo_db",
            MasterUsername="postgres",
            MasterUserPassword=MASTER["password"],
            BackupRetentionPeriod=0,
        )
        state_backend.ensure_lock_table.fn()
        rds.get_waiter("db_instance_available").wait(
            DBInstanceIdentifier=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        endpoint = rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]["Endpoint"]
        value = {**MASTER, "host": endpoint["Address"], "port": endpoint["Port"]}
        clients("secretsmanager").create_secret(Name=NAME, SecretString=json.dumps(value))
        with closing(as_master(clients)) as session:
            migrate(session)
        as_master_do(clients, "insert into items (name, price) values ('kept', 1)")
        yield clients


def as_master(clients: Clients) -> Any:
    value = json.loads(clients("secretsmanager").get_secret_value(SecretId=NAME)["SecretString"])
    return psycopg2.connect(**{key: value[key] for key in ("host", "port", "dbname", "password")}, user="postgres")


def as_master_do(clients: Clients, *statements: str) -> None:
    with closing(as_master(clients)) as session, session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def connect(address: Address) -> Any:
    """A session without any of the runbook's own precautions."""
    return psycopg2.connect(
        host=address.host,
        port=address.port,
        dbname=address.database,
        user=address.user,
        password=address.password.get_secret_value(),
    )


def set_up(**parameters: Any) -> State[Any]:
    return set_up_verifier("dev", return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def password() -> str:
    return read_verifier_address("dev").password.get_secret_value()


def test_a_dry_run_changes_nothing_and_the_run_after_it_leaves_a_role_that_reads_everything(
    database: Clients, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert set_up(dry_run=True).is_completed()
    assert any("does not exist" in missing for missing in plan_verifier.fn("dev").missing)
    with pytest.raises(PreconditionFailed, match=r"python -m flows\.set_up_verifier --environment dev"):
        read_verifier_address("dev")
    done = set_up()
    assert message(done) == SECRET
    address = read_verifier_address("dev")
    with closing(connect(address)) as session, session.cursor() as cursor:
        for statement in READS:
            cursor.execute(statement)
            assert cursor.fetchall(), statement
    secret = database("secretsmanager").describe_secret(SecretId=SECRET)
    assert not [tag for tag in secret["Tags"] if tag["Key"].startswith("runbook:")]
    said = "".join([*capfd.readouterr(), caplog.text, repr(address), done.model_dump_json()])
    assert "attempts to write were refused" in said
    assert password() not in said


@pytest.mark.parametrize("statement", WRITES)
def test_no_way_to_write_is_open_to_it_even_when_it_lifts_its_default(database: Clients, statement: str) -> None:
    if plan_verifier.fn("dev").missing:
        set_up()
    with closing(connect(read_verifier_address("dev"))) as session, session.cursor() as cursor:
        cursor.execute("show default_transaction_read_only")
        assert cursor.fetchone() == ("on",)
        cursor.execute("set default_transaction_read_only = off")
        session.commit()
        with pytest.raises(InsufficientPrivilege):
            cursor.execute(statement)
            session.commit()


def test_four_sessions_are_enough_for_it(database: Clients) -> None:
    set_up()
    sessions = [connect(read_verifier_address("dev")) for _ in range(4)]
    try:
        with pytest.raises(psycopg2.OperationalError, match="too many connections for role"):
            connect(read_verifier_address("dev"))
        before = password()
        assert plan_verifier.fn("dev").missing == ()
        assert password() == before
    finally:
        for session in sessions:
            session.close()


def test_a_second_run_has_nothing_to_do_and_keeps_the_password(database: Clients) -> None:
    set_up()
    before = password()
    assert set_up().is_completed()
    assert plan_verifier.fn("dev").missing == ()
    assert password() == before


def test_a_secret_that_opens_nothing_is_given_another_password(database: Clients) -> None:
    set_up()
    secretsmanager = database("secretsmanager")
    secretsmanager.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
    assert set_up().is_completed()
    as_master_do(database, "alter role runbook_verifier password 'changed-by-somebody'")
    assert set_up().is_completed()
    address = read_verifier_address("dev")
    value = json.loads(secretsmanager.get_secret_value(SecretId=SECRET)["SecretString"])
    secretsmanager.put_secret_value(SecretId=SECRET, SecretString=json.dumps({**value, "host": "127.9.9.9"}))
    assert set_up().is_completed()
    assert replace(read_verifier_address("dev"), password=address.password) == address
    connect(read_verifier_address("dev")).close()


def test_a_role_that_was_given_more_is_set_right_or_named(database: Clients) -> None:
    set_up()
    as_master_do(
        database,
        "grant pg_write_all_data to runbook_verifier",
        "alter role runbook_verifier createdb connection limit -1",
    )
    assert any("pg_write_all_data" in missing for missing in plan_verifier.fn("dev").missing)
    assert set_up().is_completed()
    as_master_do(
        database,
        "grant update on items to runbook_verifier",
        "grant insert (minute) on heartbeats to runbook_verifier",
        "grant create on schema public to public",
        "alter table heartbeats enable row level security",
    )
    state = set_up()
    assert state.is_failed()
    for words in (
        "UPDATE on public.items",
        "INSERT on public.heartbeats",
        "CREATE in schema public",
        "can't read all of public.heartbeats",
        'was let: update "public"."items"',
        "was let: create table",
    ):
        assert words in message(state), words
    as_master_do(
        database,
        "revoke update on items from runbook_verifier",
        "revoke insert (minute) on heartbeats from runbook_verifier",
        "revoke create on schema public from public",
        "alter table heartbeats disable row level security",
    )
    assert set_up().is_completed()
    with closing(as_master(database)) as session, session.cursor() as cursor:
        cursor.execute("select name, price from items")
        assert cursor.fetchall() == [("kept", 1)]


def test_killed_between_its_changes_the_same_run_again_ends_the_same(
    database: Clients, lab: dict[str, Any], prefect_server: str
) -> None:
    environment = killing.variables(lab["env"], prefect_server)
    database("secretsmanager").delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
    as_master_do(database, "drop role if exists runbook_verifier")
    killing.kill_everywhere("flows.set_up_verifier", {"environment": "dev"}, environment)
    connect(read_verifier_address("dev")).close()
    assert plan_verifier.fn("dev").missing == ()


def test_without_a_database_nothing_is_changed(database: Clients) -> None:
    state = set_up_verifier("prod", return_state=True)  # type: ignore[call-overload]
    assert state.is_failed()
    assert "there is no secret demo-flask-app-prod-db" in message(state)
    with pytest.raises(PreconditionFailed, match="demo-flask-app-prod-db"):
        ensure_role.fn("prod")
    assert "demo-flask-app-prod-db-verifier" not in {
        one["Name"] for one in database("secretsmanager").list_secrets()["SecretList"]
    }
