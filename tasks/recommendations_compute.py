"""Instances that are larger, older or longer awake than what they do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain

from tasks import aws, usage_metrics
from tasks.environment import Environment
from tasks.instance_sizes import half, newer, on_arm
from tasks.price_list import PriceList, instance_usage
from tasks.recommendation import Level, Recommendation, difference, is_ours, is_worth_it, times, total
from tasks.residue_kinds import tags_of
from tasks.terraform_diff import add_to, set_variable

NIGHT_SHARE = 0.02  # of all requests; more and somebody works at night or at weekends
SATURDAY = 5
AWAKE_SHARE = Decimal(65) / 168  # 07:00 to 20:00 on five days
ON_ARM = "use Graviton"
ASG = "aws:autoscaling:groupName"
MAIN = "terraform/environments/dev/main.tf"
SCHEDULE = """resource "aws_autoscaling_schedule" "evening" {
  scheduled_action_name  = "sleep"
  autoscaling_group_name = module.ec2.asg_name
  recurrence             = "0 20 * * 1-5"
  min_size               = 0
  desired_capacity       = 0
  max_size               = -1
}

resource "aws_autoscaling_schedule" "morning" {
  scheduled_action_name  = "wake"
  autoscaling_group_name = module.ec2.asg_name
  recurrence             = "0 7 * * 1-5"
  min_size               = var.asg_min_size
  desired_capacity       = var.asg_min_size
  max_size               = -1
}"""


@dataclass(frozen=True)
class Machines:
    """Alike instances that are sized by one setting: an environment's group, or one instance by itself."""

    name: str
    type: str
    number: int
    dimensions: Mapping[str, str]
    is_group: bool


def find(where: Environment, prices: PriceList) -> Iterator[Recommendation]:
    for one in _machines(where):
        found = chain(_smaller(where, one, prices), _other_family(where, one, prices))
        yield from (each for each in found if is_worth_it(each.saving))
    if where.environment == "dev":
        yield from _asleep_at_night(where, prices)


def _machines(where: Environment) -> Iterator[Machines]:
    """Instances of other groups are those groups' business."""
    wanted = [{"Name": "instance-state-name", "Values": ["running"]}]
    pages = aws.client("ec2").get_paginator("describe_instances").paginate(Filters=wanted)
    group: dict[str, int] = {}
    for one in (one for page in pages for r in page["Reservations"] for one in r["Instances"]):
        tags, kind, name = tags_of(one.get("Tags")), one["InstanceType"], one["InstanceId"]
        if tags.get(ASG) == where.asg_name:
            group[kind] = group.get(kind, 0) + 1
        elif ASG not in tags and is_ours(tags, where.environment):
            yield Machines(name, kind, 1, {"InstanceId": name}, is_group=False)
    if len(group) == 1:  # while two types run, a replacement is under way
        ((kind, number),) = group.items()
        yield Machines(where.asg_name, kind, number, {"AutoScalingGroupName": where.asg_name}, is_group=True)


def _smaller(where: Environment, one: Machines, prices: PriceList) -> Iterator[Recommendation]:
    used = usage_metrics.read("AWS/EC2", "CPUUtilization", "Maximum", one.dimensions)
    smaller = half(one.type)
    if smaller is None or not used.is_known or used.highest > usage_metrics.IDLE_PERCENT:
        return
    memory = usage_metrics.read("CWAgent", "mem_used_percent", "Maximum", one.dimensions)
    if memory.is_known and memory.highest > usage_metrics.IDLE_PERCENT:
        return
    seen = f"{one.number} {one.type}: at most {used.highest:.0f} % CPU in {used.days:.0f} days"
    known = f", at most {memory.highest:.0f} % memory" if memory.is_known else ", memory is not measured"
    yield _resized(
        where, one, smaller, prices, "use smaller instances", "medium" if memory.is_known else "low", seen + known,
        f"half the memory, and half the CPU credits: load {smaller} in dev first",
    )  # fmt: skip


def _other_family(where: Environment, one: Machines, prices: PriceList) -> Iterator[Recommendation]:
    if then := newer(one.type):
        yield _resized(
            where, one, then, prices, "use a newer generation", "high", f"{one.number} {one.type}, an old generation",
            "a restart; drivers of Amazon Linux 2023 fit",
        )  # fmt: skip
    if then := on_arm(one.type):
        yield _resized(
            where, one, then, prices, ON_ARM, "medium", f"{one.number} {one.type} on x86",
            "needs an arm64 image and AMI: build and prove both first", effort="high",
        )  # fmt: skip


def _resized(
    where: Environment, one: Machines, then: str, prices: PriceList, kind: str, confidence: Level, seen: str, risk: str,
    *, effort: Level = "medium",
) -> Recommendation:  # fmt: skip
    now_monthly, then_monthly = (times(one.number, prices.monthly(instance_usage(name))) for name in (one.type, then))
    own = " && ".join(
        f"aws ec2 {step.format(one.name)}"
        for step in (
            "stop-instances --instance-ids {}",
            "wait instance-stopped --instance-ids {}",
            f"modify-instance-attribute --instance-id {{}} --instance-type Value={then}",
            "start-instances --instance-ids {}",
        )
    )
    if kind == ON_ARM:
        own = f"start its successor from an arm64 image with --instance-type {then}, then terminate {one.name}"
    return Recommendation(
        kind=kind,
        resource=one.name,
        saving=difference(now_monthly, then_monthly),
        confidence=confidence,
        effort=effort,
        risk=risk,
        change=set_variable(where.environment, "instance_type", f'"{one.type}"', f'"{then}"') if one.is_group else own,
        seen=seen,
        usages=prices.billed(instance_usage(one.type), instance_usage(then)),
    )


def _sleeps(at: datetime) -> bool:
    """As `SCHEDULE` has it."""
    return not 7 <= at.hour < 20 or at.weekday() >= SATURDAY


def _asleep_at_night(where: Environment, prices: PriceList) -> Iterator[Recommendation]:
    name = where.alb_arn.partition("loadbalancer/")[2]
    requests = usage_metrics.read("AWS/ApplicationELB", "RequestCount", "Sum", {"LoadBalancer": name})
    group = next((one for one in _machines(where) if one.is_group), None)
    if group is None or not requests.is_known or not requests.total:
        return
    share = requests.during(_sleeps) / requests.total
    if share <= NIGHT_SHARE:
        asleep = 1 - AWAKE_SHARE
        disks = _disk_sizes(where)
        usages = [f"EBS:VolumeUsage.{kind}" for kind in disks]
        yield Recommendation(
            kind="let dev sleep at night",
            resource=where.asg_name,
            saving=total(
                times(group.number * asleep, prices.monthly(instance_usage(group.type))),
                *(times(size * asleep, prices.dollars(f"EBS:VolumeUsage.{kind}")) for kind, size in disks.items()),
            ),
            confidence="medium",
            effort="medium",
            risk="nobody can use dev from 20:00 to 07:00 UTC and at weekends, the first request waits for a boot, dev's"
            " alarms ring unless they are silenced, and a deployment in these hours finds no instance",
            change=add_to(MAIN, SCHEDULE),
            seen=f"{share:.0%} of {requests.total:,.0f} requests came at night or weekends in {requests.days:.0f} days",
            usages=prices.billed(instance_usage(group.type), *usages),
        )


def _disk_sizes(where: Environment) -> dict[str, int]:
    """GiB of the group's disks by type: they go with their instances."""
    wanted = [
        {"Name": f"tag:{ASG}", "Values": [where.asg_name]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    ec2 = aws.client("ec2")
    pages = ec2.get_paginator("describe_instances").paginate(Filters=wanted)
    names = [one["InstanceId"] for page in pages for r in page["Reservations"] for one in r["Instances"]]
    attached = [{"Name": "attachment.instance-id", "Values": names}]
    sizes: dict[str, int] = {}
    for page in ec2.get_paginator("describe_volumes").paginate(Filters=attached):
        for one in page["Volumes"]:
            sizes[one["VolumeType"]] = sizes.get(one["VolumeType"], 0) + one["Size"]
    return sizes
