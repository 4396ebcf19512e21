"""Emergency changes of the group's size, kept with an owner and an end until they are reverted or adopted (N10)."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasks import autoscaling, aws
from tasks.autoscaling import Group
from tasks.environment import Environment, find_parameter, forget_parameter, keep_parameter
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.finding import Attention
from tasks.kinds import action, probe
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_autoscaling import AutoScalingClient

MARKER = "emergency-size"
SERVING_SECONDS = 1200


@dataclass(frozen=True)
class Size:
    smallest: int
    desired: int
    largest: int

    def __str__(self) -> str:
        return f"{self.desired} ({self.smallest}-{self.largest})"


@dataclass(frozen=True)
class Emergency:
    """`before` is what it goes back to. Times are ISO 8601."""

    environment: str
    group: str
    before: Size
    after: Size
    by: str
    because: str
    made_at: str
    expires_at: str
    hours: float

    @property
    def hash(self) -> str:
        """Of what is done: two plans with the same hash do the same."""
        decided = [self.environment, self.group, str(self.before), str(self.after), self.by, self.because, self.hours]
        return hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:12]

    @property
    def is_over(self) -> bool:
        return datetime.fromisoformat(self.expires_at) <= datetime.now(UTC)

    def __str__(self) -> str:
        return (
            f"emergency size of {self.group}: {self.after} instead of {self.before}, until {self.expires_at}, by"
            f" {self.by} because: {self.because}"
        )


@probe
def find_emergency(environment: str) -> Emergency | None:
    return find(environment)


def find(environment: str) -> Emergency | None:
    text = find_parameter(environment, MARKER)
    if text is None:
        return None
    found = json.loads(text)
    return Emergency(**{**found, "before": Size(**found["before"]), "after": Size(**found["after"])})


def size_of(group: Group) -> Size:
    return Size(group.min_size, group.desired_capacity, group.max_size)


def plan_emergency(
    environment: str, group: Group, known: Emergency | None, instances: int, by: str, because: str, hours: float
) -> Emergency:
    """
    Raises:
        PreconditionFailed: it would not make the group larger.
    """
    now, size = datetime.now(UTC), size_of(group)
    after = Size(size.smallest, instances, max(size.largest, instances))
    before = known.before if known else size
    if instances < size.desired or (instances == size.desired and not (known and known.after == size)):
        raise PreconditionFailed(f"{group.name} is at {size}, expected fewer than the {instances} that are asked for")
    expires_at = (now + timedelta(hours=hours)).isoformat(timespec="seconds")
    made_at = now.isoformat(timespec="seconds")
    plan = Emergency(environment, group.name, before, after, by, because, made_at, expires_at, hours)
    return known if known and known.hash == plan.hash else plan


@action
def enlarge(plan: Emergency) -> None:
    """Written down first, so that whatever becomes of this run it is taken back. The cooldown is not honored (D11)."""
    if find(plan.environment) != plan:
        keep_parameter(plan.environment, MARKER, json.dumps(asdict(plan)))
    if size_of(autoscaling.describe_group.fn(plan.group)) != plan.after:
        _resize(plan.group, plan.after)


@probe
def wait_until_serving(plan: Emergency) -> Group:
    """
    Raises:
        VerificationFailed: AWS could not launch an instance, such as for a quota; it says why.
        WaitTimedOut: they do not serve yet.
    """

    def look() -> Group:
        if failed := _find_failure(plan):
            raise VerificationFailed(
                f"{plan.group} could not be enlarged to {plan.after}: {failed}. The larger size stays asked for: lift"
                " what is in the way, or take it back with end_emergency"
            )
        return autoscaling.describe_group.fn(plan.group)

    return wait_until(
        f"Auto Scaling group {plan.group}",
        look,
        lambda group: len(group.in_service) >= plan.after.desired,
        timeout_seconds=SERVING_SECONDS,
        expected=f"{plan.after.desired} instances in service",
    )


@action
def end(one: Emergency, *, adopted: bool) -> str:
    """Back to the size before, or kept because the code says so now; what was done.

    Raises:
        PreconditionFailed: somebody changed the size since, so that nobody knows what it should be.
    """
    size = size_of(autoscaling.describe_group.fn(one.group))
    if adopted:
        forget_parameter(one.environment, MARKER)
        return f"{one.group} keeps {size}; review_drift says whether the code does"
    if (size.smallest, size.largest) not in (
        (one.after.smallest, one.after.largest),
        (one.before.smallest, one.before.largest),
    ):
        raise PreconditionFailed(
            f"{one.group} is at {size} now, expected {one.after} or {one.before}: somebody changed it since. Decide:"
            f" python -m flows.end_emergency --environment {one.environment} --adopted, or set the size first"
        )
    _resize(one.group, one.before)
    forget_parameter(one.environment, MARKER)
    return f"{one.group} is back at {one.before}"


def require_none_over(environment: Environment) -> str:
    """For checks: an emergency is looked at every day, and one that is over is wrong."""
    one = find(environment.environment)
    if one is None:
        return "none"
    if one.is_over:
        raise VerificationFailed(
            f"{one}: that is over. Run: python -m flows.end_emergency --environment {one.environment}"
        )
    raise Attention(str(one))


def _resize(group: str, size: Size) -> None:
    _autoscaling().update_auto_scaling_group(
        AutoScalingGroupName=group, MinSize=size.smallest, MaxSize=size.largest, DesiredCapacity=size.desired
    )


def _find_failure(plan: Emergency) -> str:
    """Why AWS could not launch, newest first, since the change was made."""
    made_at = datetime.fromisoformat(plan.made_at)
    found = _autoscaling().describe_scaling_activities(AutoScalingGroupName=plan.group, MaxRecords=20)["Activities"]
    failed = [one for one in found if one["StatusCode"] == "Failed" and one["StartTime"] >= made_at]
    return failed[0].get("StatusMessage", "no reason given") if failed else ""


def _autoscaling() -> "AutoScalingClient":
    client: AutoScalingClient = aws.client("autoscaling")
    return client
