"""An instance refresh and the group it works on as plain data, and how far the one has come with the other.

All times are AWS seconds. An instance counts as updated when it is healthy and its warm-up has passed
(PercentageComplete in the API reference of InstanceRefresh).
"""

from dataclasses import dataclass
from typing import Any

ACTIVE = ("Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress")
AVAILABLE = "Waiting for remaining instances to be available. For example: "
WARMING = "Waiting for instances to warm up before continuing. For example: "
COUNTED = ("Pending", "InService")
ON_STANDBY = ("EnteringStandby", "Standby")


@dataclass(frozen=True)
class Member:
    """One instance of the group as a refresh sees it."""

    instance_id: str
    lifecycle_state: str
    passes_health_checks: bool
    in_service_for: float = 0.0
    protected: bool = False
    matches: bool = False  # runs the configuration that is being rolled out
    missing_health: str = "Amazon EC2"  # who can't tell yet that it is healthy

    @property
    def is_healthy(self) -> bool:
        return self.lifecycle_state == "InService" and self.passes_health_checks

    @property
    def is_on_standby(self) -> bool:
        return self.lifecycle_state in ON_STANDBY


@dataclass(frozen=True)
class Group:
    """A snapshot of the Auto Scaling group."""

    now: float
    desired: int
    members: tuple[Member, ...]
    launch_failures: int = 0  # in a row
    alarms: tuple[str, ...] = ()  # those of the refresh that are in ALARM
    suspended: bool = False

    def has_any(self, *lifecycle_states: str) -> bool:
        return any(one.lifecycle_state in lifecycle_states for one in self.members)


@dataclass
class Refresh:
    instance_refresh_id: str
    auto_scaling_group_name: str
    preferences: dict[str, Any]
    started: float
    desired_configuration: dict[str, Any] | None = None
    can_roll_back: bool = False
    status: str = "Pending"
    status_reason: str | None = None
    percentage_complete: int = 0
    instances_to_update: int = 0
    rollback_details: dict[str, Any] | None = None
    originals: frozenset[str] = frozenset()  # there before: to be replaced, as far as the preferences say so
    untouched: frozenset[str] = frozenset()  # in a rollback: never updated, so nothing to roll back
    checkpoints_passed: int = 0
    wait_until: float | None = None  # end of a checkpoint's delay, or of the bake time
    progress_at: float = 0.0
    best: int = 0
    surplus: int = 0

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def is_rollback(self) -> bool:
        return self.status == "RollbackInProgress"

    def end(self, status: str, reason: str | None = None) -> None:
        self.status, self.status_reason, self.surplus = status, reason, 0


@dataclass(frozen=True)
class Progress:
    """`done` of `total` instances are new, healthy and warmed up."""

    total: int
    done: int
    healthy: int  # old and new ones that count as capacity
    excess: int  # pending or in service beyond the desired capacity
    old: tuple[Member, ...]  # to be replaced now
    blocked: tuple[Member, ...]  # to be replaced once somebody removes what forbids it
    leaving: tuple[Member, ...]  # replaced, not yet gone
    fresh: tuple[Member, ...]  # launched since

    @property
    def percentage(self) -> int:
        return 100 if self.total == 0 else 100 * self.done // self.total

    @property
    def is_complete(self) -> bool:
        return not (self.old or self.blocked or self.leaving) and self.done >= self.total


def progress(refresh: Refresh, group: Group) -> Progress:
    sorts: dict[str, list[Member]] = {"Refresh": [], "Wait": [], "Ignore": [], "Leaving": [], "Fresh": []}
    for one in group.members:
        sorts[_sort(refresh, one)].append(one)
    warmup = refresh.preferences["InstanceWarmup"]
    fresh = [one for one in sorts["Fresh"] if one.lifecycle_state in COUNTED]
    updated = [one for one in fresh if one.is_healthy and one.in_service_for >= warmup]
    known = sorts["Refresh"] + sorts["Wait"] + sorts["Ignore"]
    standby = [one for one in sorts["Refresh"] + sorts["Wait"] if one.is_on_standby]
    kept = [one for one in sorts["Ignore"] if one.lifecycle_state in COUNTED]
    total = max(0, group.desired - len(kept) + len(standby))
    return Progress(
        total=total,
        done=min(total, len(updated)),
        healthy=len(updated) + sum(one.is_healthy for one in known),
        excess=sum(one.lifecycle_state in COUNTED for one in group.members) - group.desired,
        old=tuple(sorts["Refresh"]),
        blocked=tuple(sorts["Wait"]),
        leaving=tuple(sorts["Leaving"]),
        fresh=tuple(fresh),
    )


def _sort(refresh: Refresh, member: Member) -> str:
    if member.instance_id not in refresh.originals | refresh.untouched:
        return "Fresh"
    if member.lifecycle_state not in (*COUNTED, *ON_STANDBY):
        return "Leaving"
    if member.instance_id in refresh.untouched:
        return "Ignore"
    return "Refresh" if refresh.is_rollback else _choice(refresh.preferences, member)


def _choice(preferences: dict[str, Any], member: Member) -> str:
    """What the preferences say of an instance that was there before: Refresh, Ignore or Wait."""
    if preferences["SkipMatching"] and member.matches:
        return "Ignore"
    if member.is_on_standby:
        return str(preferences["StandbyInstances"]).replace("Terminate", "Refresh")
    return str(preferences["ScaleInProtectedInstances"]) if member.protected else "Refresh"


def what_it_waits_for(refresh: Refresh, now: Progress) -> str | None:
    """The StatusReason of a refresh that is under way."""
    for one in now.fresh:
        if not one.is_healthy:
            words = f"{one.instance_id} has insufficient data to evaluate its health with"
            return f"{AVAILABLE}{words} {one.missing_health}."
    for one in now.fresh:
        if one.in_service_for < refresh.preferences["InstanceWarmup"]:
            return f"{WARMING}{one.instance_id} is warming up."
    for one in now.blocked if not now.old else ():
        if one.protected:
            return f"{AVAILABLE}{one.instance_id} is protected. Remove instance scale-in protection to continue."
        return f"{AVAILABLE}{one.instance_id} is in Standby. Return the instance to service to continue."
    return None
