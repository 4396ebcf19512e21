"""Health of an Auto Scaling group's instances, as EC2 and the load balancers tell it."""

from functools import cached_property
from typing import Any

from lab.auto_scaling_group import target_groups

GONE = ("shutting-down", "terminated")
TERMINATED_OR_STOPPED = "an EC2 health check indicating it has been terminated or stopped."
STATUS_CHECK = "an EC2 instance status check failure."
ELB_CHECK = "an ELB system health check failure."


def ec2_state(group: Any, state: Any) -> str:
    instance = group.ec2_backend.get_instance_by_id(state.instance_id)
    return str(instance.state) if instance else "terminated"


class TargetStates:
    """What each of the group's target groups says of the instances, asked once."""

    def __init__(self, group: Any) -> None:
        self._group = group

    @cached_property
    def _seen(self) -> list[dict[str, tuple[str, str | None]]]:
        backend = self._group.autoscaling_backend.elbv2_backend
        answers = [backend.describe_target_health(one.arn, []) for one in target_groups(self._group)]
        return [{one.instance_id: (one.status, one.reason) for one in answer} for answer in answers]

    def _of(self, instance_id: str) -> list[tuple[str, str | None]]:
        return [seen.get(instance_id, ("unused", "Target.NotRegistered")) for seen in self._seen]

    def is_draining(self, instance_id: str) -> bool:
        return any(state == "draining" for state, _ in self._of(instance_id))

    def is_failing(self, instance_id: str) -> bool:
        """Unhealthy, or no longer a target. One that is still checked, or that nobody checks, is no failure."""
        return any(
            state == "unhealthy" or (state == "unused" and reason != "Target.NotInUse")
            for state, reason in self._of(instance_id)
        )

    def passes(self, instance_id: str) -> bool:
        return all(
            state in ("healthy", "unavailable") or reason == "Target.NotInUse"
            for state, reason in self._of(instance_id)
        )


def uses_load_balancer(group: Any) -> bool:
    return "ELB" in (group.health_check_type or "").split(",")


def failure(group: Any, state: Any, targets: TargetStates, now: float) -> str | None:
    """Why an instance in service must be replaced. Only what is gone counts within the grace period."""
    if ec2_state(group, state) != "running":
        return TERMINATED_OR_STOPPED
    if is_in_grace_period(group, state, now):
        return None
    if state.instance.instance_status.get("Status") == "impaired":
        return STATUS_CHECK
    if uses_load_balancer(group) and targets.is_failing(state.instance_id):
        return ELB_CHECK
    return None


def is_in_grace_period(group: Any, state: Any, now: float) -> bool:
    return bool(now < state.in_service_since + (group.health_check_grace_period or 0))


def passes_all(group: Any, state: Any, targets: TargetStates) -> bool:
    """Whether an instance counts as healthy in a replacement: then `initial` is not enough."""
    healthy = state.health_status == "Healthy" and ec2_state(group, state) == "running"
    return healthy and (not uses_load_balancer(group) or targets.passes(state.instance_id))
