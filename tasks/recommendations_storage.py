"""Disks that are stored and paid for without a use, or dearer than they have to be, and logs that nobody ends."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tasks import aws
from tasks.environment import PROJECT
from tasks.price_list import LOGS_USAGE, PriceList
from tasks.recommendation import OLD, Recommendation, difference, is_ours, is_worth_it, times
from tasks.residue_kinds import MARKS, tags_of

BETWEEN_USES = timedelta(days=7)  # a volume may be without an instance for a while on purpose
KEPT_LOG_DAYS = 90
GIB = 1024**3
# AWS's EBS documentation: what gp3 has whatever its size, and until which size gp2 has no more throughput than that.
FREE_IOPS, FREE_THROUGHPUT, SLOW_GP2_GIB = 3000, 125, 170
SNAPSHOT = "EBS:SnapshotUsage"


def find(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    yield from _volumes(environment, prices)
    yield from _snapshots(environment, prices)
    yield from _log_groups(environment, prices)


def _volumes(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    for page in aws.client("ec2").get_paginator("describe_volumes").paginate():
        for one in page["Volumes"]:
            name, kind, size = one["VolumeId"], one["VolumeType"], one["Size"]
            usage = f"EBS:VolumeUsage.{kind}"
            now, kept = (times(size, prices.dollars(name)) for name in (usage, SNAPSHOT))
            if not is_ours(tags_of(one.get("Tags")), environment):
                continue
            if one["State"] == "available" and datetime.now(UTC) - one["CreateTime"] >= BETWEEN_USES:
                yield Recommendation(
                    kind="delete an unattached volume",
                    resource=name,
                    saving=difference(now, kept),
                    confidence="high",
                    effort="low",
                    risk="none to its data: the snapshot that is taken first keeps it, and its price is taken off here",
                    change=f"aws ec2 create-snapshot --volume-id {name} && aws ec2 delete-volume --volume-id {name}",
                    seen=f"{size} GiB of {kind} in state 'available': no instance uses it",
                    usages=prices.billed(usage, SNAPSHOT),
                )
            elif one["State"] == "in-use" and kind == "gp2" and one.get("Iops", 0) <= FREE_IOPS:
                then = times(size, prices.dollars("EBS:VolumeUsage.gp3"))
                if is_worth_it(saving := difference(now, then)):
                    yield _as_gp3(name, size, saving, prices)


def _as_gp3(name: str, size: int, saving: Decimal | None, prices: PriceList) -> Recommendation:
    is_fast = size > SLOW_GP2_GIB
    return Recommendation(
        kind="make gp2 gp3",
        resource=name,
        saving=saving,
        confidence="medium" if is_fast else "high",
        effort="low",
        risk=f"gp2 of this size reaches 250 MiB/s: watch its throughput first, or pay for more than {FREE_THROUGHPUT}"
        if is_fast
        else "none known: it is modified while it is used, and gp3 is at least as fast at this size",
        change=f"aws ec2 modify-volume --volume-id {name} --volume-type gp3",
        seen=f"{size} GiB of gp2; gp3 has {FREE_IOPS} IOPS and {FREE_THROUGHPUT} MiB/s at any size",
        usages=prices.billed("EBS:VolumeUsage.gp2", "EBS:VolumeUsage.gp3"),
    )


def _snapshots(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    """Old ones that nothing refers to. AWS bills the blocks that differ, so the money is at most this."""
    ec2 = aws.client("ec2")
    images = ec2.describe_images(Owners=["self"])["Images"]
    disks = [disk.get("Ebs", {}) for image in images for disk in image["BlockDeviceMappings"]]
    used = {disk.get("SnapshotId") for disk in disks}
    price = prices.dollars(SNAPSHOT)
    for page in ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"]):
        for one in page["Snapshots"]:
            tags, name, age = tags_of(one.get("Tags")), one["SnapshotId"], datetime.now(UTC) - one["StartTime"]
            if name in used or age < OLD or set(MARKS) & set(tags) or not is_ours(tags, environment):
                continue
            yield Recommendation(
                kind="delete an old snapshot",
                resource=name,
                saving=times(one["VolumeSize"], price),
                confidence="low",
                effort="low",
                risk="what it holds is gone; look what it was kept for",
                change=f"aws ec2 delete-snapshot --snapshot-id {name}",
                seen=f"{one['VolumeSize']} GiB, {age.days} days old, of no image; the money is at most this",
                usages=prices.billed(SNAPSHOT),
            )


def _log_groups(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    """Without a retention they grow for ever. What is stored today is what the first expiry can save at most."""
    price = prices.dollars(LOGS_USAGE)
    for page in aws.client("logs").get_paginator("describe_log_groups").paginate():
        for one in page["logGroups"]:
            name = one["logGroupName"]
            others = f"{PROJECT}-{'prod' if environment == 'dev' else 'dev'}"
            if "retentionInDays" in one or others in name:
                continue
            stored = Decimal(one.get("storedBytes", 0)) / GIB
            yield Recommendation(
                kind="let old logs expire",
                resource=name,
                saving=times(stored, price),
                confidence="low",
                effort="low",
                risk=f"events older than {KEPT_LOG_DAYS} days are gone; export them first where they must be kept",
                change=f"aws logs put-retention-policy --log-group-name {name} --retention-in-days {KEPT_LOG_DAYS}",
                seen=f"{stored:.2f} GiB, no retention: it grows for ever; the money is at most this",
                usages=prices.billed(LOGS_USAGE),
            )
