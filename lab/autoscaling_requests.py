"""The Auto Scaling API for groups: what AWS refuses, and what moto leaves out."""

from collections.abc import Callable
from typing import Any

from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import EmptyResult

from lab import group_metrics, scaling_activities
from lab.auto_scaling_group import begin_termination
from lab.extend import AWSError, Method, around, operation
from lab.instance_launch import find_version, require_image
from lab.scaling_activities import PAGE, stamp

PLAIN_SETTINGS = {
    "DefaultCooldown": "default_cooldown",
    "HealthCheckGracePeriod": "health_check_grace_period",
    "TerminationPolicies": "termination_policies",
    "CapacityRebalance": "capacity_rebalance",
    "MaxInstanceLifetime": "max_instance_lifetime",
    "PlacementGroup": "placement_group",
}
# Operations of moto that end in a KeyError, an HTML 500, when the group does not exist.
NEED_A_GROUP = (
    "update_auto_scaling_group",
    "set_desired_capacity",
    "suspend_processes",
    "resume_processes",
    "enable_metrics_collection",
    "attach_load_balancer_target_groups",
    "detach_load_balancer_target_groups",
    "describe_load_balancer_target_groups",
    "attach_load_balancers",
    "detach_load_balancers",
    "describe_load_balancers",
    "put_scaling_policy",
    "put_lifecycle_hook",
    "put_scheduled_update_group_action",
    "put_warm_pool",
    "describe_warm_pool",
    "delete_warm_pool",
)


def require_group(response: Any) -> Any:
    name = response._get_param("AutoScalingGroupName")
    group = response.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise AWSError("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
    return group


def require_launch_template(ec2_backend: Any, wanted: dict[str, Any]) -> Any:
    """The template version that a request names, as AWS checks it before it accepts the request."""
    said = "You must use a valid fully-formed launch template. "
    try:
        version = find_version(ec2_backend, wanted)
        require_image(ec2_backend, version.image_id)
    except (ServiceException, ValueError) as error:
        raise AWSError("ValidationError", said + str(getattr(error, "message", error))) from error
    return version


class GroupRequests:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def install(self) -> None:
        for name in NEED_A_GROUP:
            around(AutoScalingResponse, name)(_only_with_a_group)
        around(AutoScalingResponse, "create_auto_scaling_group")(self.create)
        around(AutoScalingResponse, "update_auto_scaling_group")(self.update)
        around(AutoScalingResponse, "enable_metrics_collection")(_enable_metrics)
        operation(AutoScalingResponse, "SetDesiredCapacity")(self.set_desired_capacity)
        operation(AutoScalingResponse, "DeleteAutoScalingGroup")(self.delete)
        operation(AutoScalingResponse, "DisableMetricsCollection")(_disable_metrics)
        operation(AutoScalingResponse, "DescribeScalingActivities")(_describe_scaling_activities)

    def create(self, original: Method, response: Any) -> Any:
        name, groups = response._get_param("AutoScalingGroupName"), response.autoscaling_backend.autoscaling_groups
        if name in groups:
            words = f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
            raise AWSError("AlreadyExists", words)
        _require_sizes(
            response._get_int_param("MinSize"),
            response._get_int_param("MaxSize"),
            response._get_int_param("DesiredCapacity"),
        )
        if wanted := response._get_param("LaunchTemplate"):
            require_launch_template(response.autoscaling_backend.ec2_backend, wanted)
        answer = original(response)
        group = groups[name]
        group.health_check_grace_period = 0  # AWS's default; moto has the console's
        _apply_settings(response, group)
        group.facts.cause = _cause("created an AutoScalingGroup", 0, group.desired_capacity)
        return answer

    def update(self, original: Method, response: Any) -> Any:
        group = require_group(response)
        _require_not_deleting(group)
        wanted = response._get_param("LaunchTemplate")
        if wanted or response._get_param("MixedInstancesPolicy"):
            _require_no_rollout(group)
        if wanted:
            require_launch_template(group.ec2_backend, wanted)
        before, policy = group.desired_capacity, group.mixed_instances_policy
        desired = _desired_after_update(response, group)
        answer = original(response)
        if not wanted and not response._get_param("MixedInstancesPolicy"):
            group.mixed_instances_policy = policy  # moto forgets it
        _apply_settings(response, group)
        group.desired_capacity = desired
        if desired != before:
            limits = f"min: {group.min_size}, max: {group.max_size}, desired: {desired}"
            words = f"update of AutoScalingGroup constraints to {limits}"
            group.facts.cause = _cause(words, before, desired)
        group.facts.next_launch_at = 0.0
        return answer

    def set_desired_capacity(self, response: Any) -> Any:
        group, desired = require_group(response), response._get_int_param("DesiredCapacity")
        _require_not_deleting(group)
        said = f"New SetDesiredCapacity value {desired} is"
        if desired > group.max_size:
            raise AWSError("ValidationError", f"{said} above max value {group.max_size} for the AutoScalingGroup.")
        if desired < group.min_size:
            raise AWSError("ValidationError", f"{said} below min value {group.min_size} for the AutoScalingGroup.")
        if response._get_bool_param("HonorCooldown", False):
            self.require_no_cooldown(group)
        if desired != group.desired_capacity:
            words = "explicitly set group desired capacity"
            group.facts.cause = _cause(words, group.desired_capacity, desired)
        group.desired_capacity = desired
        return EmptyResult()

    def require_no_cooldown(self, group: Any) -> None:
        activity = scaling_activities.latest(group)
        if activity and (activity.end_time is None or self._now() < group.facts.cooldown_until):
            words = f"Scaling activity {activity.activity_id} is in progress and blocks this action."
            raise AWSError("ScalingActivityInProgress", words)

    def delete(self, response: Any) -> Any:
        group, backend = require_group(response), response.autoscaling_backend
        states = group.instance_states
        if states and not response._get_bool_param("ForceDelete", False):
            _refuse_delete(states)
        for name, policy in list(backend.policies.items()):
            if policy.auto_scaling_group_name == group.name:
                backend.delete_policy(name)
        group.facts.deleting, group.status = True, "Delete in progress"
        group.min_size = group.max_size = group.desired_capacity = group.facts.surplus = 0
        for state in states:
            if state.lifecycle_state != "Terminating":
                reason = "an instance was taken out of service in response to a user request, deleting the group."
                begin_termination(group, state, reason, self._now())
        if not states:
            group.facts.deleted = True
            del backend.autoscaling_groups[group.name]
        return EmptyResult()


def _only_with_a_group(original: Method, response: Any) -> Any:
    require_group(response)
    return original(response)


def _cause(words: str, before: int, after: int) -> str:
    return f"At {stamp()} a user request {words} changing the desired capacity from {before} to {after}.  "


def _require_sizes(low: int, high: int, desired: int | None) -> None:
    if low > high:
        words = f"Max bound, {high}, must be greater than or equal to min bound, {low}"
        raise AWSError("ValidationError", words)
    if desired is not None and not low <= desired <= high:
        words = f"Desired capacity:{desired} must be between the specified min size:{low} and max size:{high}"
        raise AWSError("ValidationError", words)


def _desired_after_update(response: Any, group: Any) -> int:
    """A new limit moves the desired capacity, unless the request names one itself."""
    low, high, desired = (response._get_int_param(one) for one in ("MinSize", "MaxSize", "DesiredCapacity"))
    low, high = (group.min_size if low is None else low), (group.max_size if high is None else high)
    _require_sizes(low, high, desired)
    return int(min(max(group.desired_capacity, low), high) if desired is None else desired)


def _require_not_deleting(group: Any) -> None:
    if group.facts.deleting:
        words = f"You cannot update an AutoScalingGroup while it is being deleted: {group.name}"
        raise AWSError("ScalingActivityInProgress", words)


def _require_no_rollout(group: Any) -> None:
    if group.facts.rollout:
        raise AWSError(
            "ValidationError",
            "An active instance refresh with a desired configuration exists. All configuration options derived from"
            " the desired configuration are not available for update while the instance refresh is active.",
        )


def _apply_settings(response: Any, group: Any) -> None:
    """What moto does not take over. -1 clears what can be cleared."""
    for parameter, attribute in PLAIN_SETTINGS.items():
        value = response._get_param(parameter)
        if value not in (None, []):
            setattr(group, attribute, value)
    if (warmup := response._get_int_param("DefaultInstanceWarmup")) is not None:
        group.default_instance_warmup = warmup if warmup >= 0 else None
    if policy := response._get_param("InstanceMaintenancePolicy"):
        low, high = policy.get("MinHealthyPercentage"), policy.get("MaxHealthyPercentage")
        if low is None or high is None or high - low > 100:
            words = "Both MinHealthyPercentage and MaxHealthyPercentage must be specified, at most 100 apart."
            raise AWSError("ValidationError", words)
        group.instance_maintenance_policy = policy if low >= 0 else None


def _refuse_delete(states: list[Any]) -> None:
    if all(one.lifecycle_state == "Terminating" for one in states):
        words = "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group."
        raise AWSError("ScalingActivityInProgress", words)
    words = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s)"
    raise AWSError("ResourceInUse", f"{words} still in the group.")


def _enable_metrics(original: Method, response: Any) -> Any:
    group = require_group(response)
    before = list(group.metrics)
    answer = original(response)
    wanted = response._get_param("Metrics") or group_metrics.NAMES
    group.metrics = [*before, *(one for one in wanted if one not in before)]
    return answer


def _disable_metrics(response: Any) -> Any:
    group, unwanted = require_group(response), response._get_param("Metrics") or group_metrics.NAMES
    group.metrics = [one for one in group.metrics if one not in unwanted]
    return EmptyResult()


def _describe_scaling_activities(response: Any) -> dict[str, Any]:
    deleted = response._get_bool_param("IncludeDeletedGroups", False)
    name = response._get_param("AutoScalingGroupName")
    if name and not deleted:
        require_group(response)
    return scaling_activities.describe(
        response.autoscaling_backend,
        name,
        response._get_param("ActivityIds", []),
        deleted,
        response._get_param("NextToken"),
        min(response._get_int_param("MaxRecords", PAGE), PAGE),
    )
