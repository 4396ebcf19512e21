"""A damaged database is recovered, or left alone, or taken back: each step against a real database and application.

Terraform's part, which takes minutes, is in test_recovery_story.py: here a run ends where that begins.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL

from app import keeper
from flows.recover_database import recover_database
from flows.retire_database import retire_database
from flows.sweep_residue import sweep_residue
from flows.undo_recovery import undo_recovery
from tasks import database_recovery as recovery
from tasks import writers
from tasks.database_recovery import Recovery
from tasks.postgres import Address
from tasks.secretsmanager import read_value, secret_name
from tasks.terraform import state_address
from tests import killing
from tests.backed_up import DB, PASSWORD
from tests.flows.conftest import reaching
from tests.recoverable import Recoverable
from tests.running import running_lab
from tests.stack import NAME

FLOW, UNDO = "flows.recover_database", "flows.undo_recovery"
# A restore takes four seconds; at more than this a smoke suite on a busy machine has no second to answer in.
SPEED = 150.0


@pytest.fixture(scope="module")
def world(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recoverable]:
    with (
        running_lab(tmp_path_factory.mktemp("recoverable") / "home", SPEED) as lab,
        reaching(lab["env"]),
    ):
        made = Recoverable(lab, boto3.session.Session().client)
        made.build()
        yield made


@pytest.fixture
def mortal(prefect_server: str, world: Recoverable) -> dict[str, str]:
    """The variables of a run in a process of its own."""
    return killing.variables(world.lab["env"], prefect_server)


def run(flow: Callable[..., Any], **parameters: Any) -> State[Any]:
    state: State[Any] = flow("dev", return_state=True, **parameters)
    return state


def marker() -> Recovery:
    found = recovery.find("dev")
    assert found
    return found


def test_what_cant_be_recovered_is_refused_and_nothing_is_changed(world: Recoverable) -> None:
    before = world.instances().keys()
    refusals = {
        "2020-01-01T00:00:00Z": "is before the oldest backup",
        "2120-01-01T00:00:00Z": "is in the future",
    }
    for damaged_at, words in refusals.items():
        state = run(recover_database, damaged_at=damaged_at)
        assert state.is_failed()
        assert words in state.message
    assert "there is no recovery of dev to undo" in run(undo_recovery).message
    assert "serves production" in run(retire_database, instance=DB).message
    assert world.instances().keys() == before
    assert recovery.find("dev") is None


def test_a_plan_names_the_last_good_heartbeat_and_what_would_be_lost_and_is_bound_to_its_hash(
    world: Recoverable,
) -> None:
    damaged_at = world.damage()
    world.write("insert into items (name, price) values ('after', 1)")
    planned = run(recover_database, damaged_at=damaged_at, dry_run=True)
    assert planned.is_completed()
    assert run(recover_database, damaged_at=damaged_at, approved_plan="0" * 12).is_cancelled()
    told = reports()
    assert "the last heartbeat before the point is number" in told
    assert "1 of items (" in told
    assert PASSWORD not in told
    assert recovery.find("dev") is None


def reports() -> str:
    asked = {"limit": 200, "sort": "CREATED_DESC"}
    return httpx.post(f"{PREFECT_API_URL.value()}/artifacts/filter", json=asked).raise_for_status().text


def test_a_copy_that_is_not_good_is_removed_and_production_is_untouched(world: Recoverable) -> None:
    """A price was changed by hand, without a trace, after the damage: the two databases differ in more than rows."""
    damaged_at = world.damage()
    world.write("update items set price = 777123 where id = 707")
    before, items = world.instances().keys(), world.items()
    state = run(recover_database, damaged_at=damaged_at)
    assert state.is_failed()
    assert "707 differs in price" in state.message
    assert "777123" not in state.message
    assert (world.instances().keys(), world.items()) == (before, items)
    assert recovery.find("dev") is None
    assert world.residue() == []
    assert world.writes_as_a_user()
    world.write("update items set price = 176.75 where id = 707")
    world.ask("select pg_sleep(2)")  # RDS restores whole seconds: every point from now on has it


@pytest.mark.exhaustive
@pytest.mark.timeout(2400)
def test_killed_before_each_action_it_goes_on_to_the_end_and_is_taken_back_killed_before_each_too(
    world: Recoverable, mortal: dict[str, str]
) -> None:
    (original,) = world.instances()
    items, restores = world.items(), world.restores()
    damaged_at = world.damage()
    parameters = {"environment": "dev", "damaged_at": damaged_at.isoformat()}
    killing.kill_everywhere(FLOW, parameters, mortal, ends=1)  # this world has no Terraform to adopt it
    assert marker().serving_at
    (recovered,) = set(world.instances()) - {original}
    assert world.restores() == restores + 1
    assert world.instances()[recovered]["DBInstanceIdentifier"] == DB
    kept = world.instances()[original]
    assert kept["DBInstanceIdentifier"] == marker().damaged_id
    assert kept["DeletionProtection"]
    assert "runbook:retire-after" in {tag["Key"] for tag in kept["TagList"]}
    assert world.items() == items
    assert world.writes_as_a_user()
    assert world.residue() == []
    killing.let_lease_run_out()
    assert "is kept until" in run(retire_database, instance=kept["DBInstanceIdentifier"]).message

    world.write("insert into items (name, price) values ('written since', 1)")
    refused = run(undo_recovery)
    assert refused.is_failed()
    assert "1 of items" in refused.message
    undo = {"environment": "dev", "accept_loss": True}
    killing.kill_everywhere(UNDO, undo, mortal)
    assert recovery.find("dev") is None
    assert world.instances()[original]["DBInstanceIdentifier"] == DB
    assert not world.instances()[original]["DeletionProtection"]
    assert "-undone-" in world.instances()[recovered]["DBInstanceIdentifier"]
    assert world.items() == items - 100
    assert world.writes_as_a_user()
    killing.let_lease_run_out()
    retire_at_once(world, recovered, mortal)


def retire_at_once(world: Recoverable, resource_id: str, mortal: dict[str, str]) -> None:
    """Its day has passed; it goes behind a snapshot, and its automated backups stay."""
    found = world.instances()[resource_id]
    name, yesterday = found["DBInstanceIdentifier"], f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    world.client("rds").add_tags_to_resource(
        ResourceName=found["DBInstanceArn"], Tags=[{"Key": "runbook:retire-after", "Value": yesterday}]
    )
    wanted = {"environment": "dev", "instance": name}
    killing.kill_everywhere("flows.retire_database", wanted, {**mortal, "RUN_ID": f"retire-{resource_id}"})
    killing.let_lease_run_out()
    assert resource_id not in world.instances()
    rds = world.client("rds")
    (snapshot,) = rds.describe_db_snapshots(DBSnapshotIdentifier=f"{name}-final")["DBSnapshots"]
    assert snapshot["Status"] == "available"
    (kept,) = rds.describe_db_instance_automated_backups(DbiResourceId=resource_id)["DBInstanceAutomatedBackups"]
    assert kept["Status"] == "retained"
    assert run(retire_database, instance=name).is_completed()
    assert run(sweep_residue).is_completed()


def test_a_recovery_that_stops_behind_the_closing_is_named_and_taken_back_without_loss(
    world: Recoverable, mortal: dict[str, str]
) -> None:
    (original,) = world.instances()
    items = world.items()
    parameters = {"environment": "dev", "damaged_at": world.damage().isoformat(), "damage": "any"}
    assert killing.run("before:rename", FLOW, parameters, {**mortal, "RUN_ID": "never-again"}) == killing.KILLED
    killing.let_lease_run_out()
    assert not world.writes_as_a_user()
    assert writers.is_closed.fn(production_address())
    swept = run(sweep_residue, include_unexpired=True)
    assert swept.is_failed()
    assert "production is closed to writers since" in swept.message
    other = run(recover_database, damaged_at=datetime.now(UTC) - timedelta(seconds=2))
    assert "a recovery is unfinished" in other.message
    assert run(undo_recovery).is_completed()
    assert set(world.instances()) == {original}
    assert world.items() == items - 100
    assert world.writes_as_a_user()
    assert not writers.is_closed.fn(production_address())
    assert run(sweep_residue, include_unexpired=True).is_completed()


def production_address() -> Address:
    value = read_value(secret_name("dev"))
    assert value
    return Address.of_secret(value)


@pytest.mark.exhaustive
def test_the_secret_may_move_instead_of_the_names(world: Recoverable, mortal: dict[str, str]) -> None:
    assert keeper.READ_ADDRESS_EVERY_S + keeper.TICK_S < writers.MOVED_SECONDS
    assert keeper.HEARTBEAT_EVERY_S + keeper.HEARTBEAT_WAIT_S + keeper.TICK_S < writers.MOVED_SECONDS
    before, items = set(world.instances()), world.items()
    original = next(key for key, one in world.instances().items() if one["DBInstanceIdentifier"] == DB)
    parameters = {"environment": "dev", "damaged_at": world.damage().isoformat(), "cut_over": "endpoint"}
    assert killing.run("before:init", FLOW, parameters, mortal) == killing.KILLED
    killing.let_lease_run_out()
    (recovered,) = set(world.instances()) - before
    name = world.instances()[recovered]["DBInstanceIdentifier"]
    assert (name, world.instances()[original]["DBInstanceIdentifier"]) == (marker().copy_id, DB)
    assert production_address().host == world.instances()[recovered]["Endpoint"]["Address"]
    assert world.ask("select count(*) from items", name) == [(items,)]
    assert world.writes_as_a_user()
    assert run(undo_recovery, accept_loss=True).is_completed()
    assert production_address().host == world.instances()[original]["Endpoint"]["Address"]
    assert world.writes_as_a_user()
    retire_at_once(world, recovered, mortal)


@pytest.mark.exhaustive
def test_an_instance_that_is_gone_is_restored_under_its_name_from_what_it_left(
    world: Recoverable, mortal: dict[str, str]
) -> None:
    """The last one: production is another instance afterwards."""
    items, rds = world.items(), world.client("rds")
    known = record_in_state(world)
    rds.delete_db_instance(DBInstanceIdentifier=DB, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier=DB, WaiterConfig={"Delay": 1})
    assert "expected --cut-over rename" in run(recover_database, damaged_at=now(), cut_over="endpoint").message
    parameters = {"environment": "dev", "damaged_at": now().isoformat()}
    assert killing.run("before:init", FLOW, parameters, mortal) == killing.KILLED
    killing.let_lease_run_out()
    made = world.instance(DB)
    assert made["DbiResourceId"] != known
    assert made["BackupRetentionPeriod"] == 7
    assert world.items() == items
    assert world.writes_as_a_user()
    assert "is gone, expected it to be there to go back to" in run(undo_recovery).message


def now() -> datetime:
    return datetime.now(UTC)


def record_in_state(world: Recoverable) -> str:
    """What Terraform's state says of the database; its DbiResourceId."""
    found, where = world.instance(DB), state_address("dev")
    known = {
        "identifier": DB,
        "resource_id": found["DbiResourceId"],
        "arn": found["DBInstanceArn"],
        "instance_class": found["DBInstanceClass"],
        "engine_version_actual": found["EngineVersion"],
        "db_subnet_group_name": DB,
        "vpc_security_group_ids": [world.production.security_group],
        "parameter_group_name": f"{NAME}-pg15",
        "port": found["Endpoint"]["Port"],
        "storage_type": "gp3",
        "storage_encrypted": True,
        "allocated_storage": found["AllocatedStorage"],
        "kms_key_id": found.get("KmsKeyId"),
        "iam_database_authentication_enabled": False,
        "publicly_accessible": False,
        "enabled_cloudwatch_logs_exports": None,
        "multi_az": False,
        "backup_retention_period": 7,
        "db_name": "demo_db",
        "username": "postgres",
        "deletion_protection": False,
        "tags_all": {},
    }
    state = {"resources": [{"type": "aws_db_instance", "mode": "managed", "instances": [{"attributes": known}]}]}
    s3 = world.client("s3")
    s3.create_bucket(Bucket=where.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    s3.put_object(Bucket=where.bucket, Key=where.key, Body=json.dumps(state))
    return str(found["DbiResourceId"])
