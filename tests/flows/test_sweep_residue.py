"""What runs left behind is found and removed; everything else stays. One small world for all: databases take time."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.objects import State
from prefect.states import Crashed, Running

from flows.sweep_residue import sweep_residue
from tasks import residue
from tasks.errors import PreconditionFailed
from tests import killing
from tests.flows.conftest import reaching

OWN = "demo-flask-app-dev-db"
COPY = "demo-flask-app-dev-verify-copy"
DATABASE = {
    "Engine": "postgres",
    "DBInstanceClass": "db.t3.micro",
    "AllocatedStorage": 20,
    "MasterUsername": "postgres",
    "MasterUserPassword": "first-password",
    "BackupRetentionPeriod": 0,
}
AMI = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
Clients = Callable[[str], Any]


@pytest.fixture(scope="module")
def world(lab: dict[str, Any]) -> Iterator[Clients]:
    """The environment's own database and, beside it, a protected copy that nothing marks as temporary."""
    httpx.post(f"{lab['url']}/lab/reset", timeout=60).raise_for_status()
    with reaching(lab["env"]):
        session = boto3.session.Session()
        rds = session.client("rds")
        for name, protected in ((OWN, False), (COPY, True)):
            rds.create_db_instance(DBInstanceIdentifier=name, DeletionProtection=protected, **DATABASE)
        for name in (OWN, COPY):
            rds.get_waiter("db_instance_available").wait(
                DBInstanceIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
            )
        yield session.client


def marks(run_id: str | None = None, hours: int = -1, flow: str = "verify-backup") -> list[dict[str, str]]:
    tags = residue.tags(flow, datetime.now(UTC) + timedelta(hours=hours), "dev")
    return residue.as_list({**tags, "runbook:run-id": run_id or str(uuid4())})


def make_secret(clients: Clients, name: str, tags: list[dict[str, str]]) -> str:
    clients("secretsmanager").create_secret(Name=name, SecretString="{}", Tags=tags)
    return name


def secrets(clients: Clients) -> set[str]:
    return {one["Name"] for one in clients("secretsmanager").list_secrets()["SecretList"]}


def databases(clients: Clients) -> dict[str, str]:
    """Each one's status."""
    found = clients("rds").describe_db_instances()["DBInstances"]
    return {one["DBInstanceIdentifier"]: one["DBInstanceStatus"] for one in found}


def run_of(state: State[Any]) -> str:
    """A run that Prefect knows to be in this state."""
    with get_client(sync_client=True) as client:
        return str(client.create_flow_run(sweep_residue, parameters={"environment": "dev"}, state=state).id)


def sweep(**parameters: Any) -> State[Any]:
    return sweep_residue("dev", return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def make_snapshot(clients: Clients, name: str, tags: list[dict[str, str]]) -> str:
    rds = clients("rds")
    rds.create_db_snapshot(DBInstanceIdentifier=OWN, DBSnapshotIdentifier=name, Tags=tags)
    rds.get_waiter("db_snapshot_available").wait(
        DBSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return name


def make_machine(clients: Clients) -> tuple[str, str]:
    """An instance of a run that is dead, in a security group of its own."""
    ec2 = clients("ec2")
    image = clients("ssm").get_parameter(Name=AMI)["Parameter"]["Value"]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"][0]["SubnetId"]
    specifications = [{"ResourceType": "security-group", "Tags": marks()}]
    group = ec2.create_security_group(
        GroupName="restored", Description="of a restored copy", VpcId=vpc, TagSpecifications=specifications
    )["GroupId"]
    launched = ec2.run_instances(
        ImageId=image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        SecurityGroupIds=[group],
        TagSpecifications=residue.as_specifications({one["Key"]: one["Value"] for one in marks()}, "instance"),
    )
    return launched["Instances"][0]["InstanceId"], group


def test_each_kind_of_thing_that_a_dead_run_left_is_removed_and_nothing_else(world: Clients) -> None:
    rds, ec2 = world("rds"), world("ec2")
    rds.create_db_instance(DBInstanceIdentifier="restored", Tags=marks(), **DATABASE)
    make_secret(world, "restored-master", marks())
    make_secret(world, "of-somebody-else", [{"Key": "Project", "Value": "another"}])
    expired = make_snapshot(world, "before-a-change-long-ago", marks(flow=residue.SNAPSHOT_FLOW))
    kept = make_snapshot(world, "before-a-change", marks(hours=24, flow=residue.SNAPSHOT_FLOW))
    machine, group = make_machine(world)
    shown = message(sweep(dry_run=True))
    assert shown == "residue: 5, left alone: 1"
    assert set(databases(world)) == {"restored", OWN, COPY}
    swept = sweep()
    assert message(swept) == "residue: 0, removed: 5, left alone: 1"
    assert set(databases(world)) == {OWN, COPY}
    assert secrets(world) == {"of-somebody-else"}
    snapshots = {s["DBSnapshotIdentifier"] for s in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]}
    assert (expired in snapshots, kept in snapshots) == (False, True)
    (found,) = ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"]
    assert found["State"]["Name"] == "terminated"
    assert group not in {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]}
    assert message(sweep()) == "residue: 0, removed: 0, left alone: 1"


def test_a_living_runs_things_stay_and_a_dead_or_expired_ones_go(world: Clients) -> None:
    alive, dead = run_of(Running()), run_of(Crashed())
    make_secret(world, "of-a-living-run", marks(alive, hours=1))
    make_secret(world, "of-a-living-run-too-late", marks(alive, hours=-1))
    make_secret(world, "of-a-dead-run", marks(dead, hours=1))
    make_secret(world, "of-an-unknown-run", marks(hours=1))
    make_secret(world, "of-a-dead-run-in-prod", [*marks(dead)[:-1], {"Key": "Environment", "Value": "prod"}])
    assert sweep().is_completed()
    left = secrets(world) - {"of-somebody-else"}
    assert left == {"of-a-living-run", "of-an-unknown-run", "of-a-dead-run-in-prod"}
    assert sweep(include_unexpired=True).is_completed()
    assert secrets(world) - {"of-somebody-else"} == {"of-a-living-run", "of-a-dead-run-in-prod"}
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(alive, Crashed(), force=True)  # type: ignore[arg-type]
    assert sweep().is_completed()
    assert "of-a-living-run" not in secrets(world)


def test_an_instance_that_was_restored_from_a_kept_snapshot_is_not_taken_for_a_copy(world: Clients) -> None:
    """RDS gives it the snapshot's tags; it may be the new production."""
    rds, tags = world("rds"), marks(flow=residue.SNAPSHOT_FLOW)
    arn = rds.describe_db_instances(DBInstanceIdentifier=COPY)["DBInstances"][0]["DBInstanceArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=tags)
    assert "restored from" in message(sweep())
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=[one["Key"] for one in tags])
    assert sweep().is_completed()


def test_what_is_protected_or_an_environments_own_is_refused_by_name_while_the_rest_goes(world: Clients) -> None:
    rds = world("rds")
    arns = {one["DBInstanceIdentifier"]: one["DBInstanceArn"] for one in rds.describe_db_instances()["DBInstances"]}
    for name in (OWN, COPY):
        rds.add_tags_to_resource(ResourceName=arns[name], Tags=marks())
    make_secret(world, "of-a-dead-run", marks())
    make_secret(world, "half-marked", marks()[:2])
    machine, _group = make_machine(world)
    world("ec2").modify_instance_attribute(InstanceId=machine, DisableApiTermination={"Value": True})
    state = sweep(include_unexpired=True)
    assert state.is_failed()
    for words in (
        "residue: 4, expected 0",
        "--no-deletion-protection",
        "--no-disable-api-termination",
        "an environment's own",
        "half-marked",
    ):
        assert words in message(state)
    assert set(databases(world)) == {OWN, COPY}
    assert {"of-a-dead-run", "half-marked"} & secrets(world) == {"half-marked"}
    rds.remove_tags_from_resource(ResourceName=arns[OWN], TagKeys=[one["Key"] for one in marks()])
    rds.modify_db_instance(DBInstanceIdentifier=COPY, DeletionProtection=False, ApplyImmediately=True)
    world("secretsmanager").tag_resource(SecretId="half-marked", Tags=marks())
    world("ec2").modify_instance_attribute(InstanceId=machine, DisableApiTermination={"Value": False})
    assert sweep().is_completed()
    assert set(databases(world)) == {OWN}


def test_killed_at_every_boundary_and_inside_a_wait_the_next_run_ends_with_nothing_left(
    world: Clients, lab: dict[str, Any], prefect_server: str
) -> None:
    environment = killing.variables(lab["env"], prefect_server)
    world("rds").create_db_instance(DBInstanceIdentifier="restored", Tags=marks(), **DATABASE)
    assert killing.run("sleep:0", "flows.sweep_residue", {"environment": "dev"}, environment) == killing.KILLED
    assert databases(world).get("restored", "deleting") == "deleting"
    make_secret(world, "left-behind", marks())
    killing.kill_everywhere("flows.sweep_residue", {"environment": "dev"}, environment)
    assert "residue: 0" in message(sweep())
    assert "left-behind" not in secrets(world)
    assert "restored" not in databases(world)


def test_a_single_thing_is_removed_only_while_it_is_marked_as_that_runs(world: Clients) -> None:
    make_secret(world, "temporary", marks("run-1"))
    (one,) = [found for found in residue.find_residue.fn("dev") if found.id == "temporary"]
    secretsmanager = world("secretsmanager")
    secretsmanager.tag_resource(SecretId="temporary", Tags=marks("run-2"))
    with pytest.raises(PreconditionFailed, match="of run run-2 now, expected run-1"):
        residue.remove.fn(one)
    secretsmanager.untag_resource(SecretId="temporary", TagKeys=["runbook:flow"])
    with pytest.raises(PreconditionFailed, match="it has no tag runbook:flow"):
        residue.remove.fn(one)
    assert "temporary" in secrets(world)
    secretsmanager.tag_resource(SecretId="temporary", Tags=marks("run-1"))
    residue.remove.fn(one)
    residue.remove.fn(one)
    assert "temporary" not in secrets(world)
