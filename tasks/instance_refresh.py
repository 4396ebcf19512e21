"""Instance refresh: start it pinned, watch it and the service, and roll it back; each finds what a killed run left."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks import aws
from tasks.environment import Environment
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.report import say
from tasks.rollout import RolloutPlan, as_way_back
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_autoscaling import AutoScalingClient
    from types_boto3_autoscaling.type_defs import InstanceRefreshTypeDef, RefreshPreferencesTypeDef

RUNNING = frozenset({"Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress"})
ROLLING_BACK = frozenset({"Cancelling", "RollbackInProgress"})
UNDONE = ROLLING_BACK | {"Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed"}
PATIENCE = 3  # a refresh may take this many times its expected duration before we call its outcome unknown
SHORTEST_TIMEOUT_SECONDS = 1800
LONGEST_END_SECONDS = 5400  # AWS itself gives a refresh up that makes no progress for an hour


@dataclass(frozen=True)
class Refresh:
    """An instance refresh as AWS tells it."""

    id: str
    group: str
    status: str
    reason: str
    percentage: int
    started: datetime
    ended: datetime | None
    template_version: int | None

    @property
    def seconds(self) -> float:
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    @property
    def runs(self) -> bool:
        return self.status in RUNNING

    def __str__(self) -> str:
        return f"{self.status} {self.percentage} %" + (f", {self.reason}" if self.reason else "")


@probe
def find_refresh(asg_name: str, refresh_id: str | None = None) -> Refresh | None:
    """The refresh with this id, else the newest one."""
    return _find_refresh(asg_name, refresh_id)


@probe
def find_highest_version(asg_name: str) -> int:
    """The newest launch template version that any known refresh went to; 0 without any. AWS keeps them for weeks."""
    found = _autoscaling().describe_instance_refreshes(AutoScalingGroupName=asg_name, MaxRecords=100)
    return max((_refresh(one).template_version or 0 for one in found["InstanceRefreshes"]), default=0)


def require_no_other_refresh(refresh: Refresh | None, ours: Collection[int | None] = ()) -> None:
    """Nothing runs but what a killed attempt of this very change may have left running."""
    if refresh and refresh.runs and refresh.template_version not in ours:
        raise PreconditionFailed(
            f"{refresh.group} has instance refresh {refresh.id} running ({refresh}), expected none."
            " Wait for it or roll it back first."
        )


@action
def start_instance_refresh(environment: Environment, version: int, plan: RolloutPlan) -> Refresh:
    """Replace every instance by one of `version`, undone by AWS itself on failure. One that was begun is attached to.

    The configuration is pinned (D02): without DesiredConfiguration there is nothing that AWS could roll back to.
    """
    autoscaling = _autoscaling()
    if mine := _begun(environment.asg_name, version):
        return mine
    try:
        started = autoscaling.start_instance_refresh(
            AutoScalingGroupName=environment.asg_name,
            DesiredConfiguration={
                "LaunchTemplate": {"LaunchTemplateId": environment.launch_template_id, "Version": str(version)}
            },
            Preferences=_preferences(environment, plan),
        )
    except autoscaling.exceptions.InstanceRefreshInProgressFault as error:
        if mine := _begun(environment.asg_name, version):
            return mine
        raise PreconditionFailed(
            f"{environment.asg_name} has another instance refresh running, expected none. Wait for it, or roll it"
            " back first."
        ) from error
    found = _find_refresh(environment.asg_name, started["InstanceRefreshId"])
    if found is None:
        raise VerificationFailed(f"AWS knows no instance refresh of {environment.asg_name} after starting one")
    return found


@probe
def wait_until_refreshed(refresh: Refresh, plan: RolloutPlan, reasons_to_stop: Callable[[], list[str]]) -> Refresh:
    """Watch a refresh to its end, and the service while it runs.

    Args:
        reasons_to_stop: asked at every look; any answer ends the watch.

    Raises:
        VerificationFailed: the service suffers, or the refresh ended otherwise than Successful.
        WaitTimedOut: it runs far longer than planned.
    """
    seen = Progress()

    def look() -> Refresh:
        now = _require_refresh(refresh)
        seen.tell(now)
        if now.runs and now.status not in ROLLING_BACK:
            _stop_for([*reasons_to_stop(), *_lost_newcomers(now)], now)
        return now

    ended = wait_until(
        f"instance refresh {refresh.id}",
        look,
        lambda now: not now.runs,
        timeout_seconds=max(SHORTEST_TIMEOUT_SECONDS, PATIENCE * plan.expected_seconds),
        expected="'Successful'",
    )
    require_successful(ended, _lost_newcomers(ended))
    return ended


def require_successful(ended: Refresh, seen: Collection[str] = ()) -> None:
    """
    Args:
        seen: what the group's activities tell of the cause.
    """
    if ended.status != "Successful":
        cause = f" ({'; '.join(seen)})" if seen else ""
        raise VerificationFailed(f"instance refresh {ended.id} ended {ended}{cause}, expected 'Successful'")


@action
def roll_back(
    environment: Environment, previous: int, plan: RolloutPlan, on_look: Callable[[], None]
) -> Refresh | None:
    """Bring the group back to version `previous`, from wherever a rollout stands; waits until it is there.

    Args:
        on_look: called at every look while it waits.

    A running refresh is rolled back by RollbackInstanceRefresh, never cancelled, which undoes nothing (D03). One that
    ended leaves nothing to roll back: a refresh to the previous version is started, or attached to.
    """
    refresh = _find_refresh(environment.asg_name)
    if refresh and refresh.runs and refresh.template_version != previous:
        refresh = _roll_back(refresh, on_look)
    if refresh is None or refresh.status in ("RollbackSuccessful", "RollbackFailed"):
        return refresh
    if refresh.template_version != previous or refresh.status != "Successful":
        refresh = wait_until_ended.fn(start_instance_refresh.fn(environment, previous, as_way_back(plan)), on_look)
    if refresh.template_version != previous or refresh.status != "Successful":
        raise VerificationFailed(
            f"the way back to version {previous} ended {refresh}, expected 'Successful': {environment.asg_name} may run"
            " two versions. Look at its scaling activities now."
        )
    return refresh


def _roll_back(refresh: Refresh, on_look: Callable[[], None]) -> Refresh:
    autoscaling = _autoscaling()
    if refresh.status not in ROLLING_BACK:
        try:
            autoscaling.rollback_instance_refresh(AutoScalingGroupName=refresh.group)
        except autoscaling.exceptions.ActiveInstanceRefreshNotFoundFault:
            pass  # it ended between the look and the call; how it ended is seen now
    ended = wait_until_ended.fn(refresh, on_look)
    if ended.status == "RollbackFailed":
        raise VerificationFailed(
            f"the rollback of instance refresh {ended.id} failed ({ended}), expected 'RollbackSuccessful':"
            f" {refresh.group} runs two versions. Look at its scaling activities now."
        )
    return ended


@probe
def wait_until_ended(refresh: Refresh, on_look: Callable[[], None] = lambda: None) -> Refresh:
    """Follow a refresh to its end, whatever that is."""
    seen = Progress()

    def look() -> Refresh:
        now = _require_refresh(refresh)
        seen.tell(now)
        on_look()
        return now

    return wait_until(
        f"instance refresh {refresh.id}",
        look,
        lambda now: not now.runs,
        timeout_seconds=LONGEST_END_SECONDS,
        expected="its end",
    )


@dataclass
class Progress:
    """Says each new state once."""

    last: tuple[str, int] | None = None

    def tell(self, refresh: Refresh) -> None:
        if (refresh.status, refresh.percentage) != self.last:
            self.last = (refresh.status, refresh.percentage)
            say(f"instance refresh {refresh.id}: {refresh}", note=False)


def _preferences(environment: Environment, plan: RolloutPlan) -> "RefreshPreferencesTypeDef":
    wish: RefreshPreferencesTypeDef = {
        "MinHealthyPercentage": plan.min_healthy_percentage,
        "MaxHealthyPercentage": plan.max_healthy_percentage,
        "InstanceWarmup": plan.warmup_seconds,
        "BakeTime": plan.bake_seconds,
        "SkipMatching": True,
        "AutoRollback": True,
    }
    if plan.watched:
        wish |= {"AlarmSpecification": {"Alarms": list(environment.critical_alarm_names)}}
    if plan.pauses:
        wish |= {"CheckpointPercentages": list(plan.checkpoints), "CheckpointDelay": plan.checkpoint_seconds}
    return wish


def _autoscaling() -> "AutoScalingClient":
    client: AutoScalingClient = aws.client("autoscaling")
    return client


def _find_refresh(asg_name: str, refresh_id: str | None = None) -> Refresh | None:
    wanted = {"InstanceRefreshIds": [refresh_id]} if refresh_id else {"MaxRecords": 1}
    found = _autoscaling().describe_instance_refreshes(AutoScalingGroupName=asg_name, **wanted)
    return _refresh(found["InstanceRefreshes"][0]) if found["InstanceRefreshes"] else None


def _require_refresh(refresh: Refresh) -> Refresh:
    found = _find_refresh(refresh.group, refresh.id)
    if found is None:
        raise VerificationFailed(f"AWS no longer knows instance refresh {refresh.id} of {refresh.group}")
    return found


def _begun(asg_name: str, version: int) -> Refresh | None:
    """The newest refresh, when it went to this version: also one that ended between the caller's look and now."""
    newest = _find_refresh(asg_name)
    gave_up = newest is None or newest.status in ("Failed", "Cancelled")
    return newest if newest and not gave_up and newest.template_version == version else None


def _refresh(found: "InstanceRefreshTypeDef") -> Refresh:
    template = found.get("DesiredConfiguration", {}).get("LaunchTemplate", {})
    version = template.get("Version", "")
    return Refresh(
        found["InstanceRefreshId"],
        found["AutoScalingGroupName"],
        found["Status"],
        found.get("StatusReason", ""),
        found.get("PercentageComplete", 0),
        found["StartTime"],
        found.get("EndTime"),
        int(version) if version.isdigit() else None,
    )


def _stop_for(reasons: list[str], refresh: Refresh) -> None:
    if reasons:
        raise VerificationFailed(
            f"stopped instance refresh {refresh.id} at {refresh.percentage} %: {'; '.join(reasons)}"
        )


def _lost_newcomers(refresh: Refresh) -> list[str]:
    """New instances that AWS itself gave up: one is enough, since the next would meet the same fate."""
    found = _autoscaling().describe_scaling_activities(AutoScalingGroupName=refresh.group, MaxRecords=100)
    mine = [a for a in found["Activities"] if a["StartTime"] >= refresh.started]
    launched = {_last_word(a["Description"]) for a in mine if a["Description"].startswith("Launching")}
    failed = [f"launch failed: {a.get('StatusMessage', '')}" for a in mine if a["StatusCode"] == "Failed"]
    dead = [
        f"new instance {_last_word(a['Description'])} never became healthy"
        for a in mine
        if a["Description"].startswith("Terminating")
        and "health check" in a["Cause"]
        and _last_word(a["Description"]) in launched
    ]
    return failed[:1] + dead[:1]


def _last_word(description: str) -> str:
    return description.rsplit(" ", 1)[-1]
