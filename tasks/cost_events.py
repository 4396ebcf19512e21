"""What this project did in a month that costs money: rollouts, verifications, snapshots that are kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from itertools import chain

from tasks import aws, evidence, rds
from tasks.cents import to_cent
from tasks.environment import Environment
from tasks.kinds import probe
from tasks.month import Month
from tasks.price_list import BACKUP_USAGE, PriceList, database_usage
from tasks.residue_kinds import FLOW, tags_of

COMPUTE = ("Amazon Elastic Compute Cloud - Compute", "EC2 - Other")
DATABASE = ("Amazon Relational Database Service",)
SECONDS_PER_HOUR = 3600
MOST_REFRESHES = 100  # that one answer holds


@dataclass(frozen=True)
class Event:
    """`dollars`: what it cost at list price, None where the price is unknown; `services`: whose bill it is on."""

    at: datetime
    what: str
    services: Sequence[str]
    dollars: Decimal | None = None
    basis: str = ""

    @property
    def price(self) -> str:
        return "price unknown" if self.dollars is None else f"${self.dollars}"


@probe
def find_events(where: Environment, month: Month, prices: PriceList) -> tuple[Event, ...]:
    """Of a month, the oldest first."""
    everything = chain(_rollouts(where), _verifications(where, prices), _snapshots(where, month, prices))
    return tuple(sorted((one for one in everything if month.holds(one.at.date())), key=lambda one: one.at))


def beside(service: str, events: Iterable[Event]) -> str:
    """How often each kind of event fell on a service's bill: `instance refresh: 3`."""
    counts: dict[str, int] = {}
    for one in events:
        if service in one.services:
            kind = one.what.partition(" of ")[0]
            counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(f"{kind}: {number}" for kind, number in counts.items())


def _rollouts(where: Environment) -> Iterator[Event]:
    """The newest; AWS keeps them for six weeks. An instance more runs while one is replaced, how long is not told."""
    asked = {"AutoScalingGroupName": where.asg_name, "MaxRecords": MOST_REFRESHES}
    for one in aws.client("autoscaling").describe_instance_refreshes(**asked)["InstanceRefreshes"]:
        if "StartTime" in one:
            yield Event(one["StartTime"], f"instance refresh of {where.asg_name}", COMPUTE, None, one["Status"])


def _verifications(where: Environment, prices: PriceList) -> Iterator[Event]:
    """Each keeps a second database instance for as long as it restores and verifies."""
    records = evidence.list_recent.fn(where)
    source = rds.find(where.db_identifier) if records else None
    hourly = prices.dollars(database_usage(source.settings.instance_class, multi_az=False)) if source else None
    for one in records:
        hours = Decimal(one.restore_seconds + one.verify_seconds) / SECONDS_PER_HOUR
        dollars = None if hourly is None else to_cent(hours * hourly)
        at, what = datetime.fromisoformat(one.ended_at), f"verification of {one.point}"
        yield Event(at, what, DATABASE, dollars, f"{hours:.2f} hours")


def _snapshots(where: Environment, month: Month, prices: PriceList) -> Iterator[Event]:
    """At most their whole size for the part of the month that they existed: AWS bills blocks that differ, beyond the
    size of the database."""
    gigabyte_month = prices.dollars(BACKUP_USAGE)
    first = datetime.combine(month.first, time(), UTC)
    pages = aws.client("rds").get_paginator("describe_db_snapshots")
    for page in pages.paginate(DBInstanceIdentifier=where.db_identifier, SnapshotType="manual"):
        for one in page["DBSnapshots"]:
            if FLOW not in tags_of(one.get("TagList")) or "SnapshotCreateTime" not in one:
                continue
            since = max(one["SnapshotCreateTime"], first)
            used = one["AllocatedStorage"] * Decimal((month.end - since.date()).days) / month.days
            what = f"snapshot kept of {one['DBSnapshotIdentifier']}"
            dollars = None if gigabyte_month is None else to_cent(used * gigabyte_month)
            yield Event(since, what, DATABASE, dollars, f"at most {used:.1f} GB-months")
