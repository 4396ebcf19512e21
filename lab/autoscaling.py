"""EC2 Auto Scaling: the control loop that keeps each group at its desired capacity, with healthy instances."""

from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, autoscaling_backends

from lab import auto_scaling_group, group_metrics, scaling_policies
from lab.auto_scaling_group import aws_seconds, begin_termination, counted, enter, is_suspended, register
from lab.autoscaling_requests import GroupRequests
from lab.group_health import GONE, TargetStates, ec2_state, failure
from lab.instance_launch import back_off, launch
from lab.instance_requests import InstanceRequests
from lab.lab import Lab
from lab.replacement import Bounds, bounds
from lab.scaling_activities import stamp
from lab.termination_policy import Candidate, choose

INTERRUPTED = "Instance became unhealthy while waiting for instance to be in InService state."


class AutoScaling:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._steps: dict[str, Callable[[Any, Any, TargetStates, float], None]] = {
            "Pending": _start,
            "Terminating": _end,
            "EnteringStandby": _enter_standby,
            "Detaching": _detach,
        }

    def install(self) -> None:
        auto_scaling_group.install()
        GroupRequests(self.now).install()
        InstanceRequests(self.now).install()
        scaling_policies.install(self.now)

    def now(self) -> float:
        return aws_seconds(self.lab.clock)

    def tick(self) -> None:
        for _, _, backend in autoscaling_backends.iter_backends():
            for group in list(backend.autoscaling_groups.values()):
                self._keep(backend, group)
            scaling_policies.act(backend, self.now())

    def _keep(self, backend: Any, group: Any) -> None:
        now, targets = self.now(), TargetStates(group)
        for state in list(group.instance_states):
            if step := self._steps.get(state.lifecycle_state):
                step(group, state, targets, now)
        _check_health(group, targets, now)
        surplus = _replace_unhealthy(group, now)
        self._match_capacity(group, group.desired_capacity + group.facts.surplus + surplus, now)
        group_metrics.publish_once_a_minute(group, self.lab.minutes.count, now)
        if group.facts.deleting and not group.instance_states:
            group.facts.deleted = True
            del backend.autoscaling_groups[group.name]

    def _match_capacity(self, group: Any, wanted: int, now: float) -> None:
        current = counted(group)
        if len(current) < wanted and not is_suspended(group, "Launch") and now >= group.facts.next_launch_at:
            for _ in range(len(current), wanted):
                if not launch(group, now, _launch_cause(group, len(current), wanted), self.lab.faults):
                    return
        if len(current) > wanted and not is_suspended(group, "Terminate"):
            _scale_in(group, current, len(current) - wanted, now)
        if len(current) == wanted:
            group.facts.cause, group.facts.to_replace = "", 0

    def status(self) -> dict[str, Any]:
        return {
            group.name: {
                "desired": group.desired_capacity,
                "instances": {one.instance_id: one.lifecycle_state for one in group.instance_states},
            }
            for _, _, backend in autoscaling_backends.iter_backends()
            for group in backend.autoscaling_groups.values()
        }

    def reset(self) -> None:
        """All state is moto's."""


def _start(group: Any, state: Any, _targets: TargetStates, now: float) -> None:
    """An instance that runs becomes a target and enters service; its health checks begin there."""
    found = ec2_state(group, state)
    if found == "running":
        if not is_suspended(group, "AddToLoadBalancer"):
            register(group, state)
        enter(state, "InService", now)
        state.in_service_since = now
        _finish_activity(group, state, now)
    elif found in (*GONE, "stopping", "stopped"):
        group.instance_states.remove(state)
        state.activity.end(now, "Failed", INTERRUPTED)
        back_off(group, now)


def _end(group: Any, state: Any, targets: TargetStates, now: float) -> None:
    found = ec2_state(group, state)
    if found == "terminated":
        group.instance_states.remove(state)
        _finish_activity(group, state, now)
    elif found != "shutting-down" and targets.is_draining(state.instance_id):
        state.activity.move_to("WaitingForELBConnectionDraining", 50)
        state.activity.description = (
            f"Terminating EC2 instance: {state.instance_id} - Waiting For ELB connection draining."
        )
    elif found != "shutting-down":
        state.activity.move_to("InProgress", 70)
        state.activity.description = f"Terminating EC2 instance: {state.instance_id}"
        # EC2's termination protection does not hold against Auto Scaling: scale-in protection does.
        state.instance.disable_api_termination = False
        group.ec2_backend.terminate_instances([state.instance_id])


def _enter_standby(group: Any, state: Any, targets: TargetStates, now: float) -> None:
    if not targets.is_draining(state.instance_id):
        enter(state, "Standby", now)
        _finish_activity(group, state, now)


def _detach(group: Any, state: Any, targets: TargetStates, now: float) -> None:
    if not targets.is_draining(state.instance_id):
        group.instance_states.remove(state)
        group.ec2_backend.delete_tags([state.instance_id], {ASG_NAME_TAG: group.name})
        _finish_activity(group, state, now)


def _finish_activity(group: Any, state: Any, now: float) -> None:
    if state.activity:
        state.activity.end(now)
        group.facts.cooldown_until = now + group.default_cooldown
        state.activity = None


def _check_health(group: Any, targets: TargetStates, now: float) -> None:
    if is_suspended(group, "HealthCheck"):
        return
    for state in group.instance_states:
        in_service = state.lifecycle_state == "InService" and state.health_status == "Healthy"
        if in_service and (because := failure(group, state, targets, now)):
            state.health_status, state.unhealthy_because = "Unhealthy", because


def _replace_unhealthy(group: Any, now: float) -> int:
    """End unhealthy instances. Returns how many more than desired its maintenance policy wants meanwhile."""
    if is_suspended(group, "ReplaceUnhealthy", "Terminate"):
        return 0
    in_service = [one for one in group.instance_states if one.lifecycle_state == "InService"]
    sick = [one for one in in_service if one.health_status == "Unhealthy"]
    gone = [one for one in sick if ec2_state(group, one) != "running"]
    limits = _maintenance_bounds(group)
    if not limits.launch_first or len(in_service) - len(sick) >= limits.floor:
        _end_unhealthy(group, sick, now)
        return 0
    _end_unhealthy(group, gone, now)
    return min(limits.launch_first, len(sick) - len(gone))


def _maintenance_bounds(group: Any) -> Bounds:
    """Without an instance maintenance policy a sick instance is ended first, whatever is left."""
    policy = group.instance_maintenance_policy
    if policy is None:
        return bounds(group.desired_capacity, 0, None)
    return bounds(group.desired_capacity, policy["MinHealthyPercentage"], policy["MaxHealthyPercentage"])


def _end_unhealthy(group: Any, states: list[Any], now: float) -> None:
    for state in states:
        because = state.unhealthy_because or "a user health-check."
        begin_termination(group, state, f"an instance was taken out of service in response to {because}", now)
        group.facts.to_replace += 1


def _launch_cause(group: Any, current: int, wanted: int) -> str:
    if group.facts.to_replace > 0:
        group.facts.to_replace -= 1
        return f"At {stamp()} an instance was started in response to an unhealthy instance needing to be replaced."
    if group.facts.replacing:
        return f"At {stamp()} an instance was launched in response to an instance refresh."
    reason = "an instance was started in response to a difference between desired and actual capacity"
    return f"{group.facts.cause}At {stamp()} {reason}, increasing the capacity from {current} to {wanted}."


def _scale_in(group: Any, current: list[Any], count: int, now: float) -> None:
    by_id = {one.instance_id: one for one in current}
    for number, instance_id in enumerate(choose([_candidate(one) for one in current], count, _policies(group))):
        before = len(current) - number
        reason = "an instance was taken out of service in response to a difference between desired and actual"
        change = f"capacity, shrinking the capacity from {before} to {before - 1}."
        chosen = f"At {stamp()} instance {instance_id} was selected for termination."
        activity = begin_termination(group, by_id[instance_id], f"{reason} {change}  {chosen}", now)
        activity.cause = group.facts.cause + activity.cause


def _policies(group: Any) -> list[str]:
    return group.termination_policies or ["Default"]


def _candidate(state: Any) -> Candidate:
    version = int(state.launched_from["Version"]) if state.launched_from else 0
    return Candidate(
        state.instance_id,
        state.availability_zone,
        state.launched_at,
        version,
        bool(state.protected_from_scale_in),
    )
