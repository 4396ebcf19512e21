"""A lost environment, with its state and without: the same rows, nothing left to plan, killed anywhere on the way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import psycopg2
import pytest
from prefect.artifacts import Artifact
from psycopg2.extensions import connection

from app import schema
from app.heartbeat import beat
from flows.recover_infrastructure import recover_infrastructure
from tasks import lost_database
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed
from tests import killing
from tests.backed_up import count_restores
from tests.losing import DB, lose_everything

FLOW = "flows.recover_infrastructure"
BUCKET, KEY = f"terraform-state-{PROJECT}-123456789012", "dev/terraform.tfstate"
ITEMS = 500
ROWS = """
select 'items', count(*), md5(string_agg(items::text, '|' order by id)) from items
union all select 'heartbeats', count(*), max(digest) from heartbeat_chain where sequence = 4
"""
pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def rows(built: dict[str, Any]) -> list[Any]:
    """What the application had written before everything was lost."""
    with session() as database:
        schema.migrate(database)
        with database, database.cursor() as sql:
            sql.execute(
                "insert into items (name, description, price) select 'item ' || n, repeat('x', n %% 50), n * 0.25"
                " from generate_series(1, %s) as n",
                (ITEMS,),
            )
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        for minute in range(3, -1, -1):
            beat(database, "i-production", now - timedelta(minutes=minute))
    return read_rows()


@contextmanager
def session() -> Iterator[connection]:
    """As the application: with what the secret says."""
    found = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=DB)["SecretString"])
    address = {name: found[name] for name in ("host", "port", "dbname", "password")}
    database = psycopg2.connect(user=found["username"], **address)
    try:
        yield database
    finally:
        database.close()


def read_rows() -> list[Any]:
    with session() as database, database.cursor() as sql:
        sql.execute(ROWS)
        return sql.fetchall()


def outcome(**parameters: Any) -> tuple[bool, str]:
    state = recover_infrastructure("dev", return_state=True, **parameters)  # type: ignore[call-overload]
    return state.is_completed(), str(state.result(raise_on_failure=False))


def report() -> str:
    found = Artifact.get("recover-infrastructure-dev")
    return str(found.data) if found else ""  # type: ignore[union-attr]


def versions() -> list[dict[str, Any]]:
    found = boto3.client("s3").list_object_versions(Bucket=BUCKET, Prefix=KEY)
    every = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
    return [one for one in every if one["Key"] == KEY]


def current_state() -> dict[str, Any]:
    state: dict[str, Any] = json.loads(boto3.client("s3").get_object(Bucket=BUCKET, Key=KEY)["Body"].read())
    return state


def lose_state() -> None:
    for one in versions():
        boto3.client("s3").delete_object(Bucket=BUCKET, Key=KEY, VersionId=one["VersionId"])


def database() -> dict[str, Any]:
    found: dict[str, Any] = boto3.client("rds").describe_db_instances(DBInstanceIdentifier=DB)["DBInstances"][0]
    return found


def require_whole(rows: list[Any]) -> None:
    """Users are served by the same release from the same rows, by a database that is production's in everything."""
    url = boto3.client("ssm").get_parameter(Name=f"/{PROJECT}/dev/alb_url")["Parameter"]["Value"]
    assert httpx.get(f"{url}/health", verify=False).json()["version"] == "1.0.0"
    assert read_rows() == rows
    db = database()
    assert (db["BackupRetentionPeriod"], db["DBSubnetGroup"]["DBSubnetGroupName"]) == (7, DB)
    assert [one["DBParameterGroupName"] for one in db["DBParameterGroups"]] == [f"{PROJECT}-dev-pg15"]


def test_killed_on_the_way_everything_comes_back_by_a_corrupt_state_s_last_good_version(
    built: dict[str, Any], built_environment: dict[str, str], rows: list[Any]
) -> None:
    good, lost = current_state(), database()["DbiResourceId"]
    lose_everything(boto3.client)
    boto3.client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps(good).encode()[:5000])
    ended_well, message = outcome(image=built["image"])
    assert not ended_well
    assert "--state backup" in message
    with pytest.raises(PreconditionFailed, match=f"an empty database would take its place.*{lost}"):
        lost_database.require_not_lost.fn("dev")

    wanted = {"environment": "dev", "state": "backup", "image": built["image"]}
    restores = count_restores(built["env"]["AWS_ENDPOINT_URL"])
    killing.kill_everywhere(FLOW, wanted, built_environment)
    assert "nothing is lost" in report()
    assert database()["DbiResourceId"] != lost
    assert count_restores(built["env"]["AWS_ENDPOINT_URL"]) == restores + 1
    assert (current_state()["lineage"], current_state()["serial"] > good["serial"]) == (good["lineage"], True)
    require_whole(rows)


def test_without_any_state_what_exists_is_adopted_and_what_is_lost_is_made(
    built: dict[str, Any], rows: list[Any]
) -> None:
    killing.let_lease_run_out()
    lose_state()
    ended_well, message = outcome(state="inventory", dry_run=True)
    assert ended_well, message
    assert "2 to create" in report()  # what is made over: the default security group, and the secret's version
    assert "| delete |" not in report()
    assert versions() == []

    lose_everything(boto3.client, final_snapshot="the-last-of-it")
    ended_well, message = outcome(state="inventory", image=built["image"])
    assert ended_well, message
    assert "snapshot the-last-of-it" in report()
    assert "RPO: between" in report()
    with session() as opened:
        assert opened.info.password not in report()
    require_whole(rows)
