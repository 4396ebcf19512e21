"""The Auto Scaling API for single instances: terminate, detach, attach, standby, health, protection."""

from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult

from lab.auto_scaling_group import begin_termination, deregister, enter, register
from lab.autoscaling_requests import require_group
from lab.extend import AWSError, operation
from lab.group_health import is_in_grace_period
from lab.scaling_activities import Activity, record, stamp


class InstanceRequests:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def install(self) -> None:
        for name, method in {
            "TerminateInstanceInAutoScalingGroup": self.terminate,
            "DetachInstances": self.detach,
            "AttachInstances": self.attach,
            "EnterStandby": self.enter_standby,
            "ExitStandby": self.exit_standby,
            "SetInstanceHealth": self.set_health,
            "SetInstanceProtection": _set_protection,
        }.items():
            operation(AutoScalingResponse, name)(method)

    def terminate(self, response: Any) -> dict[str, Any]:
        several = response._get_param("InstanceIds")
        decrement = response._get_bool_param("ShouldDecrementDesiredCapacity", False)
        activities = []
        for instance_id in several or [response._get_param("InstanceId")]:
            group, state = _find_managed(response.autoscaling_backend, instance_id)
            change = _decrement(group, 1, "Terminating") if decrement else "."
            reason = f"instance {instance_id} was taken out of service in response to a user request{change}"
            activities.append(begin_termination(group, state, reason, self._now()).as_answer())
        return {"Activities": activities} if several else {"Activity": activities[0]}

    def detach(self, response: Any) -> dict[str, Any]:
        group = require_group(response)
        states = _require_members(group, response._get_param("InstanceIds", []), "InService", "Standby")
        change = "."
        if response._get_bool_param("ShouldDecrementDesiredCapacity", False):
            change = _decrement(group, len(states), "Detaching")
        return {"Activities": [self._leave(group, one, "Detaching", change).as_answer() for one in states]}

    def _leave(self, group: Any, state: Any, lifecycle_state: str, change: str) -> Activity:
        deregister(group, state)
        enter(state, lifecycle_state, self._now())
        title, verb = {
            "Detaching": ("Detaching EC2 instance", "detached"),
            "EnteringStandby": ("Moving EC2 instance to Standby", "moved to standby"),
        }[lifecycle_state]
        cause = f"At {stamp()} instance {state.instance_id} was {verb} in response to a user request{change}"
        activity = record(group, f"{title}: {state.instance_id}", cause)
        activity.move_to("InProgress", 50)
        state.activity = activity
        return activity

    def attach(self, response: Any) -> Any:
        group, ids = require_group(response), response._get_param("InstanceIds", [])
        instances = [group.ec2_backend.get_instance(one) for one in ids]
        if any(one.state != "running" for one in instances):
            raise AWSError("ValidationError", f"Invalid Instance ID(s): {ids} specified: only running ones attach.")
        _require_room(group, len(ids), "attach")
        for instance in instances:
            instance.autoscaling_group = group
            group.ec2_backend.create_tags([instance.id], {ASG_NAME_TAG: group.name})
            state = InstanceState(instance, "InService", protected_from_scale_in=False)
            state.launched_at = state.in_service_since = state.since = self._now()
            group.instance_states.append(state)
            register(group, state)
            cause = f"At {stamp()} an instance was attached in response to a user request."
            record(group, f"Attaching an existing EC2 instance: {instance.id}", cause).end(self._now())
        group.desired_capacity += len(ids)
        return EmptyResult()

    def enter_standby(self, response: Any) -> dict[str, Any]:
        group = require_group(response)
        states = _require_members(group, response._get_param("InstanceIds", []), "InService")
        change = "."
        if response._get_bool_param("ShouldDecrementDesiredCapacity"):
            _require_room(group, -len(states), "place into standby")
            change = _decrement(group, len(states), "Standby")
        return {"Activities": [self._leave(group, one, "EnteringStandby", change).as_answer() for one in states]}

    def exit_standby(self, response: Any) -> dict[str, Any]:
        group, answers = require_group(response), []
        states = _require_members(group, response._get_param("InstanceIds", []), "Standby")
        _require_room(group, len(states), "move out of standby")
        for state in states:
            before, group.desired_capacity = group.desired_capacity, group.desired_capacity + 1
            enter(state, "Pending", self._now())
            reason = f"instance {state.instance_id} was moved out of standby in response to a user request"
            cause = f"At {stamp()} {reason}, increasing the capacity from {before} to {before + 1}."
            activity = record(group, f"Moving EC2 instance out of Standby: {state.instance_id}", cause)
            activity.move_to("PreInService", 30)
            state.activity = activity
            answers.append(activity.as_answer())
        return {"Activities": answers}

    def set_health(self, response: Any) -> Any:
        group, state = _find_managed(response.autoscaling_backend, response._get_param("InstanceId"))
        status = response._get_param("HealthStatus")
        if status not in ("Healthy", "Unhealthy"):
            raise AWSError("ValidationError", "Valid instance health states are: [Healthy, Unhealthy].")
        respects_grace = response._get_bool_param("ShouldRespectGracePeriod", True)
        if not (respects_grace and is_in_grace_period(group, state, self._now())):
            state.health_status = status
            state.unhealthy_because = "a user health-check." if status == "Unhealthy" else None
        return EmptyResult()


def _set_protection(response: Any) -> Any:
    group = require_group(response)
    for state in _require_members(group, response._get_param("InstanceIds", [])):
        state.protected_from_scale_in = response._get_bool_param("ProtectedFromScaleIn")
    return EmptyResult()


def _find_managed(backend: Any, instance_id: str) -> tuple[Any, Any]:
    for group in backend.autoscaling_groups.values():
        for state in group.instance_states:
            if state.instance_id == instance_id:
                return group, state
    words = f"Instance Id not found - No managed instance found for instance ID: {instance_id}"
    raise AWSError("ValidationError", words)


def _require_members(group: Any, ids: list[str], *lifecycle_states: str) -> list[Any]:
    members = {one.instance_id: one for one in group.instance_states}
    for instance_id in ids:
        if instance_id not in members:
            words = f"The instance {instance_id} is not part of Auto Scaling group {group.name}."
            raise AWSError("ValidationError", words)
        if lifecycle_states and members[instance_id].lifecycle_state not in lifecycle_states:
            words = f"The instance {instance_id} is not in {' or '.join(lifecycle_states)}."
            raise AWSError("ValidationError", words)
    return [members[one] for one in ids]


def _require_room(group: Any, change: int, doing: str) -> None:
    if not group.min_size <= group.desired_capacity + change <= group.max_size:
        sizes = f"min-size={group.min_size}, max-size={group.max_size}, and desired-size={group.desired_capacity}"
        words = f"AutoScalingGroup {group.name} has {sizes}. To {doing} {abs(change)} instance"
        raise AWSError("ValidationError", f"{words}, please update the AutoScalingGroup sizes appropriately.")


def _decrement(group: Any, count: int, doing: str) -> str:
    before = group.desired_capacity
    if before - count < group.min_size:
        raise AWSError(
            "ValidationError",
            f"Currently, desiredSize equals minSize ({group.min_size}). {doing} instance without replacement will"
            " violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower"
            " group's min size.",
        )
    group.desired_capacity = before - count
    return f", shrinking the capacity from {before} to {before - count}."
