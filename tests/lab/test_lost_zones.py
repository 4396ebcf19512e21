"""A zone that is lost by a network ACL, as FIS and the Chaos Toolkit do it, and taken back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg2
import pytest

from lab.image import build
from lab.lost_zones import denies_all
from lab.push import push
from tests.lab.alb import Stack, eventually, fresh_clients
from tests.lab.databases import PASSWORD, REQUEST, ask, connect, describe, messages, until, wait
from tests.lab.registry import AMI_PARAMETER, PROJECT, user_data

ZONES = ("eu-north-1a", "eu-north-1b")
LIGHT = PROJECT / "tests" / "images" / "light"


class Zones:
    """Takes zones away by a deny-all ACL on their subnets, and gives them back."""

    def __init__(self, ec2: Any, vpc: str, subnets: list[str]) -> None:
        self.ec2, self.subnets = ec2, dict(zip(ZONES, subnets, strict=True))
        self.deny = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
        for egress in (False, True):
            ec2.create_network_acl_entry(
                NetworkAclId=self.deny,
                RuleNumber=1,
                Protocol="-1",
                RuleAction="deny",
                Egress=egress,
                CidrBlock="0.0.0.0/0",
            )
        self.default = self.association(ZONES[0])["NetworkAclId"]

    def association(self, zone: str) -> dict[str, str]:
        acls = self.ec2.describe_network_acls()["NetworkAcls"]
        every = [one for acl in acls for one in acl["Associations"]]
        found: dict[str, str] = next(one for one in every if one["SubnetId"] == self.subnets[zone])
        return found

    def put(self, acl: str, *zones: str) -> None:
        for zone in zones:
            known = self.association(zone)["NetworkAclAssociationId"]
            self.ec2.replace_network_acl_association(AssociationId=known, NetworkAclId=acl)

    def lose(self, *zones: str) -> None:
        self.put(self.deny, *zones)

    def heal(self) -> None:
        self.put(self.default, *ZONES)


class Place:
    """Two zones: in each an instance behind one load balancer, and two databases, of which one has a standby."""

    def __init__(self, lab: dict[str, Any]) -> None:
        self.client = fresh_clients(lab)
        self.stack = Stack(self.client)
        self.ec2, self.rds, self.ssm = self.client("ec2"), self.client("rds"), self.client("ssm")
        self.zones = Zones(self.ec2, self.stack.vpc, self.stack.subnets)
        self._create_databases()
        self.instances = [self.launch(subnet) for subnet in self.stack.subnets]
        self.stack.group = self.stack.target_group("instances", TargetType="instance")
        self.stack.register(*self.instances)
        self.stack.listen()
        self.url = f"http://{self.stack.host}"
        self.stack.wait("target_in_service")
        for name in ("alone", "paired"):
            wait(self.rds, name)

    def _create_databases(self) -> None:
        self.rds.create_db_subnet_group(
            DBSubnetGroupName="both", DBSubnetGroupDescription="both", SubnetIds=self.stack.subnets
        )
        self.rds.create_db_instance(DBInstanceIdentifier="alone", DBSubnetGroupName="both", **REQUEST)
        self.rds.create_db_instance(DBInstanceIdentifier="paired", DBSubnetGroupName="both", MultiAZ=True, **REQUEST)

    def launch(self, subnet: str) -> str:
        if not hasattr(self, "reference"):
            ecr = self.client("ecr")
            ecr.create_repository(repositoryName="light")
            self.client("logs").create_log_group(logGroupName="/app")
            arguments = {"VERSION": "1", "BEHAVIOUR": "good"}
            image = build(LIGHT, dockerfile=LIGHT / "Dockerfile", target="app", build_args=arguments)
            self.reference = f"{push(ecr, 'light', '1', image)}@{image.manifest.digest}"
        ami = self.ssm.get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
        asked = {"ImageId": ami, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet}
        launched = self.ec2.run_instances(UserData=user_data(self.reference), **asked)["Instances"][0]
        instance: str = launched["InstanceId"]
        self.ec2.get_waiter("instance_running").wait(
            InstanceIds=[instance], WaiterConfig={"Delay": 0.1, "MaxAttempts": 200}
        )
        return instance

    def ping(self, instance: str) -> str | None:
        found = self.ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [instance]}])
        return next((one["PingStatus"] for one in found["InstanceInformationList"]), None)

    def counted(self, metric: str) -> float:
        """What CloudWatch has of a metric of the load balancer, in all."""
        balancer = self.stack.arn.split("loadbalancer/")[1]
        every = self.client("cloudwatch").get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "sum",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/ApplicationELB",
                            "MetricName": metric,
                            "Dimensions": [{"Name": "LoadBalancer", "Value": balancer}],
                        },
                        "Period": 60,
                        "Stat": "Sum",
                    },
                }
            ],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
        )
        return float(sum(every["MetricDataResults"][0]["Values"]))


@pytest.fixture(scope="module")
def place(lab: dict[str, Any]) -> Place:
    return Place(lab)


@pytest.fixture(autouse=True)
def _healed(place: Place) -> Iterator[None]:
    yield
    place.zones.heal()
    eventually(lambda: {state for state, _ in place.stack.health()} == {"healthy"})


def statuses(place: Place, requests: int) -> set[int]:
    with httpx.Client(timeout=20) as user:
        return {user.get(f"{place.url}/items").status_code for _ in range(requests)}


def test_a_primary_in_a_lost_zone_fails_over_and_one_without_a_standby_hangs_until_it_heals(place: Place) -> None:
    rds = place.rds
    ask(rds, "paired", "CREATE TABLE committed (n int); INSERT INTO committed VALUES (1)")
    lost, spare = (describe(rds, "paired")[name] for name in ("AvailabilityZone", "SecondaryAvailabilityZone"))
    assert describe(rds, "alone")["AvailabilityZone"] == lost
    place.zones.lose(lost)
    until(lambda: describe(rds, "paired")["AvailabilityZone"] == spare)
    assert "unreachable due to loss of network connectivity" in messages(rds, "paired")[-2]
    assert ask(rds, "paired", "SELECT n FROM committed") == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
        connect(rds, "alone", PASSWORD, connect_timeout=2)
    assert describe(rds, "alone")["DBInstanceStatus"] == "available"
    place.zones.heal()
    until(lambda: can_connect(rds, "alone"))
    assert describe(rds, "paired")["AvailabilityZone"] == spare


def test_targets_in_a_lost_zone_time_out_and_come_back_when_it_heals(place: Place) -> None:
    lost, left = place.instances
    eventually(lambda: place.ping(lost) == "Online")
    place.zones.lose(ZONES[0])
    eventually(lambda: place.stack.health(lost) == [("unhealthy", "Target.Timeout")])
    assert place.stack.health(left) == [("healthy", None)]
    assert statuses(place, 4) == {200}
    assert place.ping(lost) == "ConnectionLost"
    place.zones.heal()
    eventually(lambda: place.stack.health(lost) == [("healthy", None)])
    eventually(lambda: place.ping(lost) == "Online")


def test_an_instance_launched_into_a_lost_zone_can_pull_nothing(place: Place) -> None:
    place.zones.lose(ZONES[0])
    stranded = place.launch(place.stack.subnets[0])
    console = place.ec2.get_console_output(InstanceId=stranded)["Output"]
    assert "i/o timeout" in console
    place.ec2.terminate_instances(InstanceIds=[stranded])


def can_connect(rds: Any, name: str) -> bool:
    try:
        connect(rds, name, PASSWORD, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_a_total_outage_is_a_504_of_the_load_balancers_own_and_counted_as_such(place: Place) -> None:
    before = place.counted("HTTPCode_ELB_5XX_Count")
    place.zones.lose(*ZONES)
    eventually(lambda: {state for state, _ in place.stack.health()} == {"unhealthy"})
    answers = [httpx.get(f"{place.url}/items", timeout=20) for _ in range(2)]
    assert [one.status_code for one in answers] == [504, 504]
    assert "504 Gateway Time-out" in answers[0].text
    eventually(lambda: place.counted("HTTPCode_ELB_5XX_Count") == before + 2)
    assert place.counted("HTTPCode_ELB_504_Count") == before + 2
    assert place.counted("TargetConnectionErrorCount") >= 2


@pytest.mark.parametrize(
    ("rules", "cut_off"),
    [
        ([], True),
        ([(100, "allow", "-1", "0.0.0.0/0")], False),
        ([(1, "deny", "-1", "0.0.0.0/0"), (100, "allow", "-1", "0.0.0.0/0")], True),
        ([(1, "deny", "6", "0.0.0.0/0"), (100, "allow", "-1", "0.0.0.0/0")], False),
        ([(1, "deny", "-1", "10.0.0.0/16"), (100, "allow", "-1", "0.0.0.0/0")], False),
    ],
)
def test_a_subnet_is_cut_off_when_nothing_is_allowed_before_all_is_denied(rules: list[Any], cut_off: bool) -> None:
    names = ("rule_number", "rule_action", "protocol", "cidr_block")
    facts = [dict(zip(names, one, strict=True)) for one in rules]
    entries = [SimpleNamespace(egress=egress, **one) for one in facts for egress in (True, False)]
    assert denies_all(entries) is cut_off
    assert denies_all([one for one in entries if one.egress])
