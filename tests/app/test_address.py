import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from moto.server import ThreadedMotoServer

from app import keeper
from lab.postgres import SUPERUSER, Cluster
from tests.app.conftest import session
from tests.app.serving import PROJECT, Service, eventually


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def secrets_manager(aws: dict[str, str]) -> Any:
    return boto3.client("secretsmanager")


@pytest.fixture
def secret_of(cluster: Cluster) -> Callable[..., str]:
    def text(dbname: str, **changes: Any) -> str:
        where = {"host": cluster.host, "port": cluster.port, "dbname": dbname}
        return json.dumps(where | {"username": SUPERUSER, "password": cluster.password} | changes)

    return text


@pytest.fixture
def arn(secrets_manager: Any, secret_of: Callable[..., str], request: pytest.FixtureRequest) -> Iterator[str]:
    created = secrets_manager.create_secret(Name=request.node.name, SecretString=secret_of("nowhere"))
    yield created["ARN"]
    secrets_manager.delete_secret(SecretId=created["ARN"], ForceDeleteWithoutRecovery=True)


def names(client: FlaskClient) -> list[str]:
    return [item["name"] for item in client.get("/items").get_json().get("items", [])]


def ready(client: FlaskClient) -> bool:
    return client.get("/ready").status_code == 200


@pytest.fixture
def two_databases(new_database: Callable[[], str]) -> tuple[str, str]:
    return new_database(), new_database()


def test_a_new_secret_moves_it_over_while_the_old_database_still_answers(
    start: Callable[..., Flask],
    secrets_manager: Any,
    arn: str,
    secret_of: Callable[..., str],
    two_databases: tuple[str, str],
    url_of: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert keeper.READ_ADDRESS_EVERY_S + keeper.TICK_S < 30
    monkeypatch.setattr(keeper, "READ_ADDRESS_EVERY_S", 0.5)
    old, new = two_databases
    secrets_manager.put_secret_value(SecretId=arn, SecretString=secret_of(old))
    client = start(DB_SECRET_ARN=arn).test_client()
    eventually(lambda: ready(client))
    client.post("/items", json={"name": "in the old one", "price": 1})

    secrets_manager.put_secret_value(SecretId=arn, SecretString=secret_of(new))
    eventually(lambda: names(client) == [])
    client.post("/items", json={"name": "in the new one", "price": 1})
    for name, expected in ((old, "in the old one"), (new, "in the new one")):
        with session(url_of(name)) as database, database.cursor() as sql:
            sql.execute("select name from items")
            assert sql.fetchall() == [(expected,)]


def test_it_follows_the_secret_at_once_when_the_old_database_is_gone(
    run_service: Callable[..., Service],
    aws: dict[str, str],
    secrets_manager: Any,
    arn: str,
    secret_of: Callable[..., str],
    two_databases: tuple[str, str],
    cluster: Cluster,
) -> None:
    old, new = two_databases
    secrets_manager.put_secret_value(SecretId=arn, SecretString=secret_of(old))
    service = run_service(DB_SECRET_ARN=arn, **aws)
    eventually(lambda: service.get("/ready").status_code == 200)
    started = service.process.pid

    secrets_manager.put_secret_value(SecretId=arn, SecretString=secret_of(new))
    cluster.query(f"drop database {old} with (force)")
    eventually(lambda: service.get("/items").status_code == 200, seconds=6)
    assert service.process.pid == started
    assert service.process.poll() is None


def test_a_rotated_password_needs_no_restart(
    start: Callable[..., Flask],
    secrets_manager: Any,
    arn: str,
    secret_of: Callable[..., str],
    new_database: Callable[[], str],
    cluster: Cluster,
) -> None:
    name = new_database()
    cluster.query(f"create role {name} login superuser password 'first'")
    secrets_manager.put_secret_value(SecretId=arn, SecretString=secret_of(name, username=name, password="first"))
    client = start(DB_SECRET_ARN=arn).test_client()
    eventually(lambda: ready(client))

    cluster.query(f"alter role {name} password 'second'")
    secrets_manager.put_secret_value(SecretId=arn, SecretString=secret_of(name, username=name, password="second"))
    cluster.query(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'")  # noqa: S608
    eventually(lambda: client.get("/items").status_code == 200, seconds=8)


def test_a_secret_that_leads_nowhere_does_not_stop_what_works(
    start: Callable[..., Flask],
    secrets_manager: Any,
    arn: str,
    secret_of: Callable[..., str],
    new_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(keeper, "READ_ADDRESS_EVERY_S", 0.3)
    name = new_database()
    secrets_manager.put_secret_value(SecretId=arn, SecretString=secret_of(name))
    client = start(DB_SECRET_ARN=arn).test_client()
    eventually(lambda: ready(client))
    complaints = []
    for broken in (secret_of("nowhere"), "not JSON"):
        secrets_manager.put_secret_value(SecretId=arn, SecretString=broken)
        complaints.append(eventually(lambda: capfd.readouterr().out.count("database not ready")))
        assert (client.get("/items").status_code, client.get("/health").status_code) == (200, 200)
    assert len(complaints) == 2


def test_an_unreadable_secret_is_named_and_tried_again(
    start: Callable[..., Flask],
    secrets_manager: Any,
    secret_of: Callable[..., str],
    new_database: Callable[[], str],
) -> None:
    client = start(DB_SECRET_ARN="not-yet").test_client()
    eventually(lambda: client.get("/ready").get_json()["reason"] == "secret not-yet can't be read")
    secrets_manager.create_secret(Name="not-yet", SecretString=secret_of(new_database()))
    eventually(lambda: ready(client))


def test_a_laptop_never_loads_boto3(url: str) -> None:
    probe = (
        "import sys, os; from app import create_app, close_app;"
        "close_app(create_app({'DATABASE_URL': sys.argv[1]})); os._exit('boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", probe, url], cwd=PROJECT, check=False).returncode == 0


def test_a_connection_string_in_libpq_s_own_form_is_understood(
    start: Callable[..., Flask], new_database: Callable[[], str], cluster: Cluster
) -> None:
    client = start(DATABASE_URL=cluster.dsn(new_database())).test_client()
    eventually(lambda: ready(client))
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(cluster.dsn("nowhere"))
