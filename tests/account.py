"""An AWS account with a history: what it has, what that costs at made-up prices, and the days that it has cost so.

The prices are made up and round: AWS's own change, and these tests ask whether the arithmetic is right, not the price.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tasks.environment import PROJECT, Environment
from tests.restored import AMI_PARAMETER
from tests.stack import NAME

BUCKET = f"{NAME}-database-backups-123456789012"
TODAY = datetime.now(UTC).date()
THIS_MONTH = TODAY.replace(day=1)
MONTHS = 13
CENT = Decimal("0.01")
EC2, OTHER, RDS = "Amazon Elastic Compute Cloud - Compute", "EC2 - Other", "Amazon Relational Database Service"
ELB, VPC, CLOUDWATCH = "Amazon Elastic Load Balancing", "Amazon Virtual Private Cloud", "AmazonCloudWatch"
HOURS = Decimal(730)


def month_before(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


LAST_MONTH, MONTH_BEFORE, FIRST_MONTH = (month_before(THIS_MONTH, n) for n in (1, 2, MONTHS))
BOX = {"tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used", "operatingSystem": "Linux"}
PRICES: dict[str, Decimal] = {
    name: Decimal(price)
    for name, price in {
        "BoxUsage:t2.micro": "0.013",
        "BoxUsage:t3.nano": "0.005",
        "BoxUsage:t3.micro": "0.010",
        "BoxUsage:t3.small": "0.020",
        "BoxUsage:t4g.nano": "0.004",
        "BoxUsage:t4g.micro": "0.008",
        "BoxUsage:t4g.small": "0.016",
        "InstanceUsage:db.t3.micro": "0.018",
        "InstanceUsage:db.t4g.micro": "0.016",
        "InstanceUsage:db.t4g.small": "0.032",
        "Multi-AZUsage:db.t4g.micro": "0.032",
        "EBS:VolumeUsage.gp2": "0.10",
        "EBS:VolumeUsage.gp3": "0.08",
        "EBS:SnapshotUsage": "0.05",
        "NatGateway-Hours": "0.046",
        "NatGateway-Bytes": "0.046",
        "VpcEndpoint-Hours": "0.011",
        "VpcEndpoint-Bytes": "0.01",
        "PublicIPv4:IdleAddress": "0.005",
        "PublicIPv4:InUseAddress": "0.005",
        "LoadBalancerUsage": "0.024",
        "RDS:ChargedBackupUsage": "0.095",
        "RDS:GP3-Storage": "0.12",
        "RDS:Multi-AZ-GP3-Storage": "0.24",
        "TimedStorage-ByteHrs|AmazonCloudWatch": "0.03",
        "TimedStorage-ByteHrs|AmazonECR": "0.1",
    }.items()
}


def price_list() -> dict[str, list[dict[str, Any]]]:
    """As `POST /lab/prices` takes it."""
    told: dict[str, list[dict[str, Any]]] = {}
    for name, dollars in PRICES.items():
        service, attributes = _product(name)
        attributes |= {"usagetype": f"EUN1-{name.partition('|')[0]}", "regionCode": "eu-north-1"}
        unit = "GB" if "Bytes" in name else "GB-Mo" if "Usage." in name or "torage" in name else "Hrs"
        told.setdefault(service, []).append({"dollars": f"{dollars}", "unit": unit, "attributes": attributes})
    return told


def _product(name: str) -> tuple[str, dict[str, str]]:
    kind = name.partition(":")[0]
    if name.endswith("-Storage"):
        return "AmazonRDS", {"productFamily": "Database Storage", "databaseEngine": "PostgreSQL"}
    return {
        "BoxUsage": ("AmazonEC2", {"productFamily": "Compute Instance", **BOX}),
        "InstanceUsage": ("AmazonRDS", {"productFamily": "Database Instance", "databaseEngine": "PostgreSQL"}),
        "Multi-AZUsage": ("AmazonRDS", {"productFamily": "Database Instance", "databaseEngine": "PostgreSQL"}),
        "EBS": ("AmazonEC2", {"productFamily": "Storage Snapshot" if "Snapshot" in name else "Storage"}),
        "NatGateway-Hours": ("AmazonEC2", {"productFamily": "NAT Gateway"}),
        "NatGateway-Bytes": ("AmazonEC2", {"productFamily": "NAT Gateway"}),
        "VpcEndpoint-Hours": ("AmazonVPC", {"productFamily": "VpcEndpoint"}),
        "VpcEndpoint-Bytes": ("AmazonVPC", {"productFamily": "VpcEndpoint"}),
        "PublicIPv4": ("AmazonVPC", {"group": "VPCPublicIPv4Address"}),
        "LoadBalancerUsage": ("AWSELB", {"productFamily": "Load Balancer-Application"}),
        "RDS": ("AmazonRDS", {"productFamily": "Storage Snapshot"}),
        "TimedStorage-ByteHrs|AmazonCloudWatch": ("AmazonCloudWatch", {"productFamily": "Storage Snapshot"}),
        "TimedStorage-ByteHrs|AmazonECR": ("AmazonECR", {"productFamily": "EC2 Container Registry"}),
    }[kind]


def series(
    service: str, usage_type: str, daily: Iterable[Decimal | str], first: date = FIRST_MONTH, **more: Any
) -> dict[str, Any]:
    """As `POST /lab/costs` takes it; the quantity is 24 hours a day unless told."""
    amounts = [str(one) for one in daily]
    told = {"service": service, "usage_type": usage_type, "first": first.isoformat(), "unblended": amounts}
    return {**told, "quantity": ["24"] * len(amounts), "unit": "Hrs", "tags": {"Environment": "dev"}, **more}


def days(first: date = FIRST_MONTH, end: date = TODAY) -> int:
    return (end - first).days


def steady(amount: str, first: date = FIRST_MONTH, end: date = TODAY) -> list[Decimal]:
    return [Decimal(amount)] * days(first, end)


def noisy(
    seed: int, amount: float, growth: float = 0.0, weekend: float = 1.0, noise: float = 0.03, first: date = FIRST_MONTH
) -> list[Decimal]:
    """Dollars a day with noise (a share), growth (a share a month) and weekends that cost their share of it."""
    dice, found = random.Random(seed), []  # noqa: S311 - a repeatable account, not cryptography
    for number in range(days(first)):
        value = amount * (1 + growth) ** (number / 30) * dice.gauss(1, noise)
        value *= weekend if (first + timedelta(number)).weekday() >= 5 else 1
        found.append(Decimal(max(value, 0)).quantize(Decimal("0.0000000001")))
    return found


def spiked(amounts: list[Decimal], day: date, factor: int, length: int = 1, first: date = FIRST_MONTH) -> list[Decimal]:
    """With a plant: some days that cost a multiple."""
    begin = (day - first).days
    return [one * factor if begin <= number < begin + length else one for number, one in enumerate(amounts)]


def hourly(client: Callable[..., Any], namespace: str, metric: str, dimensions: Mapping[str, str], value: Any) -> None:
    """Two weeks of a metric, a value an hour: `value(time)`."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    named = [{"Name": name, "Value": one} for name, one in dimensions.items()]
    times = [now - timedelta(hours=n) for n in range(1, 14 * 24)]
    data = [{"MetricName": metric, "Dimensions": named, "Timestamp": at, "Value": value(at)} for at in times]
    client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)


def build_account(client: Callable[..., Any]) -> None:
    """What a review needs of an environment: its outputs, its bucket, and a group without instances."""
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    ami = client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
    template = client("ec2").create_launch_template(
        LaunchTemplateName=f"{NAME}-lt", LaunchTemplateData={"ImageId": ami, "InstanceType": "t4g.micro"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=f"{NAME}-asg",
        MinSize=0,
        MaxSize=4,
        DesiredCapacity=0,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
        AvailabilityZones=["eu-north-1a"],
    )
    for name, value in _outputs(template).items():
        client("ssm").put_parameter(Name=f"/{PROJECT}/dev/{name}", Value=value, Type="String")


def _outputs(template: str) -> dict[str, str]:
    arn = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:loadbalancer/app"
    told = {one.name: "none" for one in fields(Environment) if one.name != "environment"}
    return told | {
        "region": "eu-north-1",
        "alb_arn": f"{arn}/{NAME}-alb/0123456789abcdef",
        "asg_name": f"{NAME}-asg",
        "launch_template_id": template,
        "db_identifier": f"{NAME}-db",
        "backup_bucket": BUCKET,
        "critical_alarm_names": "[]",
        "warning_alarm_names": "[]",
    }
