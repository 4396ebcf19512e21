"""The bill: what each thing in the account costs, at the prices that the lab was told and by AWS's meters.

Existence is paid by the hour, storage by the GB-month: GB-hours by the hours of that very month. What has no price is
free here. `GET /lab/bill` tells what everything would cost in a year as it is now; `POST /lab/bill` with `first` and
`end` writes into Cost Explorer's history that the account was as it is now on these days.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

from moto.ec2.models import ec2_backends
from moto.ecr.models import ecr_backends
from moto.elbv2.models import elbv2_backends
from moto.logs.models import logs_backends
from moto.rds.models import rds_backends

from lab.cost_history import PLACES, Series
from lab.lab import ACCOUNT, REGION
from lab.price_list import PriceLists

RUNNING = 16
GIB = Decimal(1024**3)
HOURS_A_YEAR, MONTHS_A_YEAR = 8760, 12
PREFIX = "EUN1-"
COMPUTE, OTHER, VPC = "Amazon Elastic Compute Cloud - Compute", "EC2 - Other", "Amazon Virtual Private Cloud"
SERVICES = {
    "AmazonVPC": VPC,
    "AWSELB": "Amazon Elastic Load Balancing",
    "AmazonRDS": "Amazon Relational Database Service",
    "AmazonCloudWatch": "AmazonCloudWatch",
    "AmazonECR": "Amazon EC2 Container Registry (ECR)",
}


@dataclass(frozen=True)
class Line:
    """One thing on one usage type: so many units of an hour, or so many GB."""

    resource: str
    code: str
    usage: str
    amount: Decimal
    unit: Literal["Hrs", "GB-Mo"]
    tags: Mapping[str, str]

    @property
    def usage_type(self) -> str:
        return f"{PREFIX}{self.usage}"

    @property
    def service(self) -> str:
        if self.code == "AmazonEC2":
            return COMPUTE if self.usage.startswith("BoxUsage") else OTHER
        return SERVICES[self.code]

    def quantity(self, day: date) -> Decimal:
        if self.unit == "Hrs":
            return self.amount * 24
        return self.amount / monthrange(day.year, day.month)[1]

    @property
    def a_year(self) -> Decimal:
        return self.amount * (HOURS_A_YEAR if self.unit == "Hrs" else MONTHS_A_YEAR)


def tell(prices: PriceLists) -> dict[str, Any]:
    lines = [(line, price) for line in _lines() if (price := prices.find(line.code, line.usage_type))]
    return {
        "lines": [
            {
                "resource": line.resource,
                "service": line.service,
                "usage_type": line.usage_type,
                "dollars_a_year": str(line.a_year * price),
            }
            for line, price in lines
        ]
    }


def write(prices: PriceLists, told: Mapping[str, Any]) -> list[Series]:
    """Of the days from `first` to the one before `end`."""
    first, end = date.fromisoformat(told["first"]), date.fromisoformat(told["end"])
    days = [first + timedelta(number) for number in range((end - first).days)]
    found = []
    for line in _lines():
        if price := prices.find(line.code, line.usage_type):
            quantities = [line.quantity(day) for day in days]
            dollars = tuple(_scaled(one * price) for one in quantities)
            amounts = {"UnblendedCost": dollars, "AmortizedCost": dollars}
            amounts["UsageQuantity"] = tuple(_scaled(one) for one in quantities)
            dimensions = {"SERVICE": line.service, "USAGE_TYPE": line.usage_type, "RECORD_TYPE": "Usage"}
            dimensions |= {"REGION": REGION, "LINKED_ACCOUNT": ACCOUNT}
            found.append(Series(first, amounts, dimensions, line.tags, line.unit, "USD"))
    return found


def _scaled(amount: Decimal) -> int:
    return round(amount.scaleb(PLACES))


def _lines() -> Iterator[Line]:
    yield from _disks()
    yield from _addresses()
    yield from _computers()
    yield from _databases()
    yield from _logs_and_images()


def _disks() -> Iterator[Line]:
    ec2 = ec2_backends[ACCOUNT][REGION]
    for one in ec2.volumes.values():
        kind = f"EBS:VolumeUsage.{one.volume_type}"
        yield Line(one.id, "AmazonEC2", kind, Decimal(one.size), "GB-Mo", _tags(one))
    own = {image.id for image in ec2.amis.values() if image.owner_id == ACCOUNT}
    for one in ec2.snapshots.values():
        if one.from_ami is None or one.from_ami in own:  # moto counts Amazon's images as ours
            size = Decimal(one.volume.size)
            yield Line(one.id, "AmazonEC2", "EBS:SnapshotUsage", size, "GB-Mo", _tags(one))


def _addresses() -> Iterator[Line]:
    """A load balancer that faces the internet has an address in each of its zones."""
    ec2 = ec2_backends[ACCOUNT][REGION]
    for one in ec2.addresses:
        kind = "InUseAddress" if one.association_id else "IdleAddress"
        yield _hourly(one.allocation_id, "AmazonVPC", f"PublicIPv4:{kind}", _tags(one))
    for one in ec2.nat_gateways.values():
        if one.state == "available":
            yield _hourly(one.id, "AmazonEC2", "NatGateway-Hours", _tags(one))
    for one in elbv2_backends[ACCOUNT][REGION].load_balancers.values():
        tags = {str(name): str(value) for name, value in (one.tags or {}).items()}
        yield _hourly(one.arn, "AWSELB", "LoadBalancerUsage", tags)
        if one.scheme == "internet-facing":
            for _ in one.subnets:
                yield _hourly(one.arn, "AmazonVPC", "PublicIPv4:InUseAddress", tags)


def _computers() -> Iterator[Line]:
    for reservation in ec2_backends[ACCOUNT][REGION].reservations.values():
        for one in reservation.instances:
            if one._state.code == RUNNING:
                yield _hourly(one.id, "AmazonEC2", f"BoxUsage:{one.instance_type}", _tags(one))


def _databases() -> Iterator[Line]:
    rds = rds_backends[ACCOUNT][REGION]
    for one in rds.databases.values():
        name, tags, both = one.db_instance_identifier, _listed(one.tags), bool(one.multi_az)
        if one.status not in ("stopped", "deleting"):
            kind = "Multi-AZUsage" if both else "InstanceUsage"
            yield _hourly(name, "AmazonRDS", f"{kind}:{one.db_instance_class}", tags)
        kind = f"RDS:{'Multi-AZ-' if both else ''}{one.storage_type.upper()}-Storage"
        yield Line(name, "AmazonRDS", kind, Decimal(one.allocated_storage), "GB-Mo", tags)
    for one in rds.database_snapshots.values():
        if one.snapshot_type == "manual":
            size = Decimal(one.allocated_storage)
            name = one.db_snapshot_identifier
            yield Line(name, "AmazonRDS", "RDS:ChargedBackupUsage", size, "GB-Mo", _listed(one.tags))


def _logs_and_images() -> Iterator[Line]:
    usage = "TimedStorage-ByteHrs"
    for one in logs_backends[ACCOUNT][REGION].groups.values():
        size = Decimal(one.to_describe_dict()["storedBytes"]) / GIB
        yield Line(one.name, "AmazonCloudWatch", usage, size, "GB-Mo", {})
    for one in ecr_backends[ACCOUNT][REGION].repositories.values():
        size = Decimal(sum(image.get_image_size_in_bytes() for image in one.images)) / GIB
        yield Line(one.name, "AmazonECR", usage, size, "GB-Mo", {})


def _hourly(resource: str, code: str, usage: str, tags: Mapping[str, str]) -> Line:
    return Line(resource, code, usage, Decimal(1), "Hrs", tags)


def _tags(resource: Any) -> dict[str, str]:
    return _listed({"Key": one["key"], "Value": one["value"]} for one in resource.get_tags())


def _listed(tags: Any) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in tags or ()}
