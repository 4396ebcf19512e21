"""Databases that are larger, safer or older than what they are for, and snapshots of them that nobody needs."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from tasks import aws, usage_metrics
from tasks.instance_sizes import half, memory_gib, newer, on_arm
from tasks.price_list import BACKUP_USAGE, PriceList, database_usage, storage_usage
from tasks.recommendation import OLD, Level, Recommendation, difference, is_ours, is_worth_it, times, total
from tasks.residue_kinds import MARKS, tags_of
from tasks.terraform_diff import set_variable

GIB = 1024**3
BYTES_PER_CONNECTION = 9_531_392  # RDS's default: max_connections is memory / this


def find(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    for page in aws.client("rds").get_paginator("describe_db_instances").paginate():
        for one in page["DBInstances"]:
            tags = tags_of(one.get("TagList"))
            marked = set(MARKS) & set(tags)  # a run's copy, which goes by itself
            if one["Engine"] == "postgres" and not marked and is_ours(tags, environment):
                found = chain(*(look(environment, one, prices) for look in (_smaller, _other_family, _single_zone)))
                yield from (each for each in found if is_worth_it(each.saving))
    yield from _snapshots(environment, prices)


def _smaller(environment: str, one: Mapping[str, Any], prices: PriceList) -> Iterator[Recommendation]:
    """CPU, memory and connections must all fit into half."""
    now, which = one["DBInstanceClass"], {"DBInstanceIdentifier": one["DBInstanceIdentifier"]}
    smaller, memory = half(now), memory_gib(now)
    if smaller is None or memory is None:
        return
    cpu = usage_metrics.read("AWS/RDS", "CPUUtilization", "Maximum", which)
    free = usage_metrics.read("AWS/RDS", "FreeableMemory", "Minimum", which)
    connections = usage_metrics.read("AWS/RDS", "DatabaseConnections", "Maximum", which)
    if not (cpu.is_known and free.is_known and connections.is_known):
        return
    fits = free.lowest > memory / 2 * GIB and connections.highest < memory / 2 * GIB / BYTES_PER_CONNECTION / 2
    if cpu.highest <= usage_metrics.IDLE_PERCENT and fits:
        seen = (
            f"{now}: at most {cpu.highest:.0f} % CPU and {connections.highest:.0f} connections, at least"
            f" {free.lowest / GIB:.1f} of {memory:g} GiB free in {cpu.days:.0f} days"
        )
        risk = f"minutes without the database while it is modified; less cache: watch ReadIOPS on {smaller}"
        yield _resized(environment, one, smaller, prices, "use a smaller database", "medium", seen, risk)


def _other_family(environment: str, one: Mapping[str, Any], prices: PriceList) -> Iterator[Recommendation]:
    now = one["DBInstanceClass"]
    if then := newer(now):
        seen = f"{now}, an old generation"
        yield _resized(environment, one, then, prices, "use a newer database", "high", seen, "minutes without it")
    if then := on_arm(now):
        seen, risk = f"{now} on x86", "minutes without it; PostgreSQL is the same on both"
        yield _resized(environment, one, then, prices, "use a database on Graviton", "high", seen, risk)


def _resized(
    environment: str, one: Mapping[str, Any], then: str, prices: PriceList, kind: str, confidence: Level, seen: str,
    risk: str,
) -> Recommendation:  # fmt: skip
    now, multi_az = one["DBInstanceClass"], one["MultiAZ"]
    usage, smaller = (database_usage(name, multi_az=multi_az) for name in (now, then))
    return Recommendation(
        kind=kind,
        resource=one["DBInstanceIdentifier"],
        saving=difference(prices.monthly(usage), prices.monthly(smaller)),
        confidence=confidence,
        effort="medium",
        risk=risk,
        change=set_variable(environment, "db_instance_class", f'"{now}"', f'"{then}"'),
        seen=seen,
        usages=prices.billed(usage, smaller),
    )


def _single_zone(environment: str, one: Mapping[str, Any], prices: PriceList) -> Iterator[Recommendation]:
    if environment != "dev" or not one["MultiAZ"]:
        return
    both, single = (database_usage(one["DBInstanceClass"], multi_az=zones) for zones in (True, False))
    disks, disk = (storage_usage(one["StorageType"], multi_az=zones) for zones in (True, False))
    size = one["AllocatedStorage"]
    yield Recommendation(
        kind="keep dev's database in one zone",
        resource=one["DBInstanceIdentifier"],
        saving=difference(
            total(prices.monthly(both), times(size, prices.dollars(disks))),
            total(prices.monthly(single), times(size, prices.dollars(disk))),
        ),
        confidence="high",
        effort="low",
        risk="when its zone fails, dev's database is gone until it is restored",
        change=set_variable(environment, "db_multi_az", "true", "false"),
        seen=f"Multi-AZ in dev: two servers and two disks of {size} GiB are paid for",
        usages=prices.billed(both, single, disks, disk),
    )


def _snapshots(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    """Those that a run keeps expire by themselves."""
    pages = aws.client("rds").get_paginator("describe_db_snapshots").paginate(SnapshotType="manual")
    for one in (one for page in pages for one in page["DBSnapshots"]):
        tags, name = tags_of(one.get("TagList")), one["DBSnapshotIdentifier"]
        created = one.get("SnapshotCreateTime")
        if created is None or set(MARKS) & set(tags) or not is_ours(tags, environment):
            continue
        if (age := datetime.now(UTC) - created) >= OLD:
            yield Recommendation(
                kind="delete an old database snapshot",
                resource=name,
                saving=times(one["AllocatedStorage"], prices.dollars(BACKUP_USAGE)),
                confidence="low",
                effort="low",
                risk="this state can't be restored any more; export it first where it must be kept",
                change=f"aws rds delete-db-snapshot --db-snapshot-identifier {name}",
                seen=f"{one['AllocatedStorage']} GiB, {age.days} days old, expires never; the money is at most this",
                usages=prices.billed(BACKUP_USAGE),
            )
