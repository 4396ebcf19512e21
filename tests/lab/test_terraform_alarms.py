"""Terraform's alarms on real things: silent while all is well, and each one raised by what it is there to see."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg2
import pytest

from lab.load import Load
from tests.lab.alb import Backend, Stack, certificate_and_key, eventually, fresh_clients
from tests.lab.groups import AMI_PARAMETER
from tests.lab.terraform_alarms import terraform_alarms

MAX_CONNECTIONS = 10  # what the alarm is told; the server allows more
SLOW_SECONDS = 1.2
DATABASE = {
    "Engine": "postgres",
    "DBInstanceClass": "db.t3.micro",
    "MasterUsername": "postgres",
    "MasterUserPassword": "first-password",
    "BackupRetentionPeriod": 0,
}
PROMPT = {"Delay": 1, "MaxAttempts": 60}


@dataclass
class World:
    """What the alarms look at, all of it well."""

    clients: Callable[..., Any]
    good: Backend
    other: Backend
    url: str
    certificate: str
    endpoint: dict[str, Any]

    def states(self) -> dict[str, str]:
        found = self.clients("cloudwatch").describe_alarms()["MetricAlarms"]
        return {one["AlarmName"]: one["StateValue"] for one in found}

    def raised(self) -> set[str]:
        """The alarms that have ever been raised."""
        history = self.clients("cloudwatch").describe_alarm_history(HistoryItemType="StateUpdate")
        return {one["AlarmName"] for one in history["AlarmHistoryItems"] if one["HistorySummary"].endswith("to ALARM")}


@pytest.fixture(scope="module")
def world(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    clients = fresh_clients(lab)
    for name, storage in (("db", 20), ("full", 5)):  # nobody fills 10 GiB in a test: here they were never there
        clients("rds").create_db_instance(
            DBInstanceIdentifier=name, AllocatedStorage=storage, StorageType="standard", **DATABASE
        )
    stack, backends = Stack(clients), [Backend("127.200.5.1"), Backend("127.200.5.2")]
    url = stack.serve(*backends)
    make_group(clients)
    pem, key = certificate_and_key("well.example", days=90)
    certificate = clients("acm").import_certificate(Certificate=pem, PrivateKey=key)["CertificateArn"]
    for name in ("db", "full"):
        clients("rds").get_waiter("db_instance_available").wait(DBInstanceIdentifier=name, WaiterConfig=PROMPT)
    endpoint = clients("rds").describe_db_instances(DBInstanceIdentifier="db")["DBInstances"][0]["Endpoint"]
    watched = {
        "alb_arn_suffix": stack.arn.split("loadbalancer/")[1],
        "target_group_arn_suffix": stack.group.rsplit(":", 1)[1],
        "asg_name": "app",
        "db_max_connections": MAX_CONNECTIONS,
        "ssl_certificate_arn": certificate,
    }
    alarms = terraform_alarms(tmp_path_factory.mktemp("alarms"), db_identifier="db", **watched)
    for name, settings in alarms.items():
        clients("cloudwatch").put_metric_alarm(AlarmName=name, **settings)
    yield World(clients, *backends, url, certificate, endpoint)
    for backend in backends:
        backend.stop()


def make_group(clients: Callable[..., Any]) -> None:
    ami = clients("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
    data = {"ImageId": ami, "InstanceType": "t3.micro", "Monitoring": {"Enabled": True}}
    clients("ec2").create_launch_template(LaunchTemplateName="app", LaunchTemplateData=data)
    clients("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="app",
        MinSize=1,
        MaxSize=1,
        AvailabilityZones=["eu-north-1a"],
        LaunchTemplate={"LaunchTemplateName": "app", "Version": "1"},
    )


def test_while_all_is_well_every_alarm_has_data_and_none_is_raised(world: World) -> None:
    with Load(world.url, rate=20):
        eventually(lambda: set(world.states().values()) == {"OK"}, seconds=30.0)
        time.sleep(3.0)  # some more of AWS's minutes
    assert world.states() == dict.fromkeys(world.states(), "OK")
    assert world.raised() == set()


@pytest.fixture(scope="module")
def trouble(world: World) -> Iterator[None]:
    """Everything that can break within seconds, at once: no two alarms here look at the same thing."""
    with ExitStack() as ending:
        world.other.health = 503
        errors = [threading.Thread(target=send, args=(f"{world.url}/status/500", 60))]
        errors += [threading.Thread(target=send, args=(f"{world.url}/garbage", 60))]
        ending.enter_context(Load(f"{world.url}/sleep/{SLOW_SECONDS}", rate=8))
        connections = [connect(world.endpoint) for _ in range(MAX_CONNECTIONS)]
        for connection in connections:
            ending.callback(connection.close)
        pem, key = certificate_and_key("ending.example", days=12)
        world.clients("acm").import_certificate(CertificateArn=world.certificate, Certificate=pem, PrivateKey=key)
        for thread in errors:
            thread.start()
            ending.callback(thread.join)
        yield
    world.other.health = 200


def send(url: str, number: int) -> None:
    with httpx.Client() as user:
        for _ in range(number):
            user.get(url)


def connect(endpoint: dict[str, Any]) -> Any:
    return psycopg2.connect(
        host=endpoint["Address"], port=endpoint["Port"], user="postgres", password="first-password", dbname="postgres"
    )


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize(
    "alarm",
    [
        "high-5xx-errors",
        "high-elb-5xx-errors",
        "cert-expiring",
        "db-connections-high",
        "unhealthy-hosts",
        "slow-responses",
        "slow-responses-warning",
    ],
)
def test_an_alarm_is_raised_by_its_cause(world: World, alarm: str) -> None:
    eventually(lambda: alarm in world.raised(), seconds=40.0)


@pytest.mark.usefixtures("trouble")
def test_one_target_that_still_serves_is_no_outage(world: World) -> None:
    eventually(lambda: "unhealthy-hosts" in world.raised(), seconds=40.0)
    assert "no-healthy-hosts" not in world.raised()


def test_an_outage_is_seen_while_its_targets_fail_and_when_none_is_left(world: World) -> None:
    for backend in (world.good, world.other):
        backend.health = 503
    eventually(lambda: world.states()["no-healthy-hosts"] == "ALARM", seconds=30.0)
    for backend in (world.good, world.other):
        backend.health = 200
    eventually(lambda: world.states()["no-healthy-hosts"] == "OK", seconds=30.0)
    elbv2 = world.clients("elbv2")
    (group,) = elbv2.describe_target_groups()["TargetGroups"]
    ids = [{"Id": one.address} for one in (world.good, world.other)]
    elbv2.deregister_targets(TargetGroupArn=group["TargetGroupArn"], Targets=ids)
    eventually(lambda: world.states()["no-healthy-hosts"] == "ALARM", seconds=30.0)


def test_a_database_that_runs_full_is_seen(world: World, tmp_path: Any) -> None:
    unused = {"alb_arn_suffix": "", "target_group_arn_suffix": "", "asg_name": "", "db_max_connections": 100}
    full = terraform_alarms(tmp_path, db_identifier="full", **unused)["db-storage-low"]
    world.clients("cloudwatch").put_metric_alarm(AlarmName="full", **full)
    eventually(lambda: world.states()["full"] == "ALARM")
    assert world.states()["db-storage-low"] == "OK"
