"""What this project did in a month that costs money, and on which usage types of the bill it shows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from itertools import chain
from typing import Any

from tasks import aws, database_recovery, drill_journal, evidence, past_runs, rds
from tasks.cents import to_cent
from tasks.database_recovery import RETIRE_AFTER
from tasks.environment import Environment
from tasks.kinds import probe
from tasks.month import Month
from tasks.price_list import BACKUP_USAGE, PriceList, database_usage
from tasks.residue_kinds import FLOW, tags_of

INSTANCES = ("BoxUsage", "EBS:VolumeUsage", "CPUCredits")
DATABASES = ("InstanceUsage:", "Multi-AZUsage:", "RDS:GP", "RDS:Multi-AZ-GP")
BACKUPS = ("ChargedBackupUsage",)
EVERYTHING = (*INSTANCES, *DATABASES, "NatGateway", "LoadBalancer", "PublicIPv4", "VpcEndpoint")
# By procedure: where on the bill its runs may show. What restores tells by itself what it kept, and for how long.
TOUCHED: Mapping[str, Sequence[str]] = {
    "deploy-application": INSTANCES,
    "rollback-application": INSTANCES,
    "patch-instances": INSTANCES,
    "refresh-instances": INSTANCES,
    "deploy-infrastructure": EVERYTHING,
    "rollback-infrastructure": EVERYTHING,
    "recover-infrastructure": EVERYTHING,
    "recover-database": DATABASES,
    "undo-recovery": DATABASES,
    "retire-database": DATABASES,
    "fail-over-database": DATABASES,
    "snapshot-database": BACKUPS,
    "export-snapshot": ("ExportToS3",),
}
SECONDS_PER_HOUR = 3600
MOST_REFRESHES = 100  # that one answer holds


@dataclass(frozen=True)
class Event:
    """`dollars`: what it cost at list price, None where that is unknown; `touches`: parts of usage types."""

    at: datetime
    what: str
    touches: Sequence[str]
    dollars: Decimal | None = None
    basis: str = ""

    @property
    def price(self) -> str:
        return "unknown" if self.dollars is None else f"${self.dollars}"

    @property
    def kind(self) -> str:
        return self.what.partition(" of ")[0]


@probe
def find_events(where: Environment, month: Month, prices: PriceList) -> tuple[Event, ...]:
    """Of a month, the oldest first."""
    everything = chain(
        _runs(where, month),
        _rollouts(where),
        _drills(where),
        _verifications(where, prices),
        _kept_databases(where, month, prices),
        _snapshots(where, month, prices),
    )
    return tuple(sorted((one for one in everything if month.holds(one.at.date())), key=lambda one: one.at))


def beside(usage_types: Iterable[str], events: Iterable[Event]) -> str:
    """How often what we did may show on any of these usage types: `run-drill: 1, instance refresh: 3`."""
    names, counts = tuple(usage_types), dict[str, int]()
    for one in events:
        if any(part in name for part in one.touches for name in names):
            counts[one.kind] = counts.get(one.kind, 0) + 1
    return ", ".join(f"{kind}: {number}" for kind, number in counts.items())


def by_kind(events: Iterable[Event]) -> dict[str, tuple[int, Decimal, int]]:
    """How many of each kind, what those with a known price cost, and of how many that is unknown; the dearest first."""
    sums: dict[str, tuple[int, Decimal, int]] = {}
    for one in events:
        number, dollars, unknown = sums.get(one.kind, (0, Decimal(0), 0))
        sums[one.kind] = (number + 1, dollars + (one.dollars or 0), unknown + (one.dollars is None))
    return dict(sorted(sums.items(), key=lambda item: item[1][1], reverse=True))


def _runs(where: Environment, month: Month) -> Iterator[Event]:
    for one in past_runs.list_past_runs.fn(where.environment, month, tuple(TOUCHED)):
        yield Event(one.at, f"{one.procedure} of {where}", TOUCHED[one.procedure], None, one.state)


def _rollouts(where: Environment) -> Iterator[Event]:
    """The newest; AWS keeps them for six weeks. An instance more runs while one is replaced, how long is not told."""
    asked = {"AutoScalingGroupName": where.asg_name, "MaxRecords": MOST_REFRESHES}
    for one in aws.client("autoscaling").describe_instance_refreshes(**asked)["InstanceRefreshes"]:
        if "StartTime" in one:
            yield Event(one["StartTime"], f"instance refresh of {where.asg_name}", INSTANCES, None, one["Status"])


def _drills(where: Environment) -> Iterator[Event]:
    """Each with the estimate that its plan was approved with."""
    for one in drill_journal.list_journals.fn(where.environment):
        at, dollars = datetime.fromisoformat(one.began_at), to_cent(Decimal(str(one.radius.usd)))
        yield Event(at, f"drill of {one.scenario}", EVERYTHING, dollars, f"estimated before it; {one.outcome}")


def _verifications(where: Environment, prices: PriceList) -> Iterator[Event]:
    """Each keeps a second database instance for as long as it restores and verifies."""
    records = evidence.list_recent.fn(where)
    source = rds.find(where.db_identifier) if records else None
    hourly = prices.dollars(database_usage(source.settings.instance_class, multi_az=False)) if source else None
    for one in records:
        hours = Decimal(one.restore_seconds + one.verify_seconds) / SECONDS_PER_HOUR
        dollars = None if hourly is None else to_cent(hours * hourly)
        at, what = datetime.fromisoformat(one.ended_at), f"verification of {one.point}"
        yield Event(at, what, DATABASES, dollars, f"{hours:.2f} hours")


def _kept_databases(where: Environment, month: Month, prices: PriceList) -> Iterator[Event]:
    """The damaged database that a recovery put aside, and copies that a run has left, by the hour."""
    recovery = database_recovery.find(where.environment)
    aside = {recovery.damaged_id: recovery.begun_at} if recovery and not recovery.is_lost else {}
    for page in aws.client("rds").get_paginator("describe_db_instances").paginate():
        for one in page["DBInstances"]:
            name, tags = one["DBInstanceIdentifier"], tags_of(one.get("TagList"))
            if RETIRE_AFTER in tags and name in aside:
                yield _kept(f"database kept of {name}", datetime.fromisoformat(aside[name]), one, month, prices)
            elif FLOW in tags and "InstanceCreateTime" in one:
                yield _kept(f"copy of {name}", one["InstanceCreateTime"], one, month, prices)


def _kept(what: str, since: datetime, one: Mapping[str, Any], month: Month, prices: PriceList) -> Event:
    first, end = (datetime.combine(day, time(), UTC) for day in (month.first, month.end))
    since, until = max(since, first), min(datetime.now(UTC), end)
    hours = Decimal(max((until - since).total_seconds(), 0)) / SECONDS_PER_HOUR
    hourly = prices.dollars(database_usage(one["DBInstanceClass"], multi_az=one["MultiAZ"]))
    dollars = None if hourly is None else to_cent(hours * hourly)
    return Event(since, what, DATABASES, dollars, f"{hours:.1f} hours of {one['DBInstanceClass']}, disk not counted")


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
            yield Event(since, what, BACKUPS, dollars, f"at most {used:.1f} GB-months")
