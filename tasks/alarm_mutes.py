"""CloudWatch's alarm mute rules: silence that AWS itself ends, whatever becomes of the run that asked for it (D17)."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasks import aws, change_lock, residue
from tasks.environment import PROJECT, Environment
from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

MOST_ALARMS = 100  # of one rule; PutAlarmMuteRule in the CloudWatch API reference
ACTIVE_SECONDS = 180  # a rule begins at a full minute
SCALING = ":scalingPolicy:"


@dataclass(frozen=True)
class MutePlan:
    environment: str
    alarms: tuple[str, ...]
    minutes: int
    reason: str

    @property
    def hash(self) -> str:
        """Two plans with the same hash do the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"mute {', '.join(self.alarms)} for {self.minutes} min, because: {self.reason}"


@dataclass(frozen=True)
class Mute:
    name: str
    status: str
    alarms: tuple[str, ...]
    ends: datetime
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.name} mutes {', '.join(self.alarms)} until {self.ends:%Y-%m-%d %H:%M} UTC, because: {self.reason}"
        )


@probe
def plan_mute(where: Environment, alarms: Sequence[str], minutes: int, reason: str) -> MutePlan:
    """
    Args:
        alarms: none are all of the environment's.

    Raises:
        PreconditionFailed: one is not the environment's, does not exist, or is what a scaling policy follows.
    """
    if not reason.strip():
        raise PreconditionFailed("no reason is given, expected why nobody is to be told, such as the incident's number")
    own = (*where.critical_alarm_names, *where.warning_alarm_names)
    wanted = tuple(sorted(set(alarms or own)))
    if strangers := sorted(set(wanted) - set(own)):
        raise PreconditionFailed(
            f"{', '.join(strangers)} are not alarms of {where}, expected of {', '.join(own)}; those that scaling"
            " policies follow are never muted: the group would no longer scale"
        )
    if len(wanted) > MOST_ALARMS:
        raise PreconditionFailed(f"{len(wanted)} alarms, expected at most {MOST_ALARMS}: name those that disturb")
    found = _cloudwatch().describe_alarms(AlarmNames=list(wanted), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    described = [*found.get("MetricAlarms", []), *found.get("CompositeAlarms", [])]
    if missing := sorted(set(wanted) - {one["AlarmName"] for one in described}):
        raise PreconditionFailed(f"alarms missing: {', '.join(missing)}, expected all of Terraform's")
    acts = {one["AlarmName"]: [*one.get("AlarmActions", []), *one.get("OKActions", [])] for one in described}
    if scaling := sorted(name for name, actions in acts.items() if any(SCALING in action for action in actions)):
        raise PreconditionFailed(f"{', '.join(scaling)} scale the group, expected alarms that only tell people")
    return MutePlan(where.environment, wanted, minutes, reason)


@action
def mute(plan: MutePlan, flow: str) -> str:
    """One rule a run, from the next full minute on; AWS updates it when it is there already. Its name."""
    name = f"{_prefix(plan.environment)}{change_lock.short_run_id()}"
    begins = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    ends = begins + timedelta(minutes=plan.minutes)
    if any(one.name == name for one in _find(plan.environment)):
        return name
    _cloudwatch().put_alarm_mute_rule(
        Name=name,
        Description=plan.reason,
        Rule={"Schedule": {"Expression": f"at({begins:%Y-%m-%dT%H:%M})", "Duration": f"PT{plan.minutes}M"}},
        MuteTargets={"AlarmNames": list(plan.alarms)},
        ExpireDate=ends,
        Tags=residue.as_list(residue.tags(flow, ends, plan.environment)),
    )
    return name


@probe
def wait_until_muted(environment: str, name: str) -> Mute:
    """
    Raises:
        PreconditionFailed: somebody ended it meanwhile.
    """

    def look() -> Mute:
        found = [one for one in _find(environment) if one.name == name]
        if not found:
            raise PreconditionFailed(f"mute rule {name} is gone, expected it to be active: somebody ended it")
        return found[0]

    return wait_until(
        f"mute rule {name}",
        look,
        lambda one: one.status != "SCHEDULED",
        timeout_seconds=ACTIVE_SECONDS,
        expected="to be active",
    )


@probe
def list_mutes(environment: str) -> tuple[Mute, ...]:
    """Those that have not ended."""
    return tuple(one for one in _find(environment) if one.status != "EXPIRED")


@action
def unmute(one: Mute) -> None:
    """AWS catches up on the actions of those that are in ALARM; what is gone is fine."""
    _cloudwatch().delete_alarm_mute_rule(AlarmMuteRuleName=one.name)


def minutes_until(moment: datetime, now: datetime) -> int:
    return max(1, math.ceil((moment - now) / timedelta(minutes=1)))


def _find(environment: str) -> list[Mute]:
    cloudwatch = _cloudwatch()
    names = [
        one["AlarmMuteRuleArn"].rpartition(":")[2]
        for page in cloudwatch.get_paginator("list_alarm_mute_rules").paginate()
        for one in page["AlarmMuteRuleSummaries"]
    ]
    mine = [cloudwatch.get_alarm_mute_rule(AlarmMuteRuleName=n) for n in names if n.startswith(_prefix(environment))]
    return [
        Mute(
            one["Name"],
            one["Status"],
            tuple(one["MuteTargets"]["AlarmNames"]),
            one["ExpireDate"].astimezone(UTC),
            one.get("Description", ""),
        )
        for one in mine
    ]


def _prefix(environment: str) -> str:
    return f"{PROJECT}-{environment}-mute-"


def _cloudwatch() -> "CloudWatchClient":
    client: CloudWatchClient = aws.client("cloudwatch")
    return client
