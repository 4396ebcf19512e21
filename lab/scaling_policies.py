"""Scaling policies: the CloudWatch alarms of target tracking, and what an alarm of a policy makes a group do."""

import uuid
from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import AutoScalingBackend, FakeScalingPolicy
from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult, EmptyResult

from lab.alarm_mutes import is_muted
from lab.auto_scaling_group import is_suspended
from lab.extend import AWSError, Method, around, operation
from lab.scaling_activities import stamp

DEFAULT_WARMUP_SECONDS = 300.0
# Target tracking scales out after 3 minutes above the target, and in after 15 well below it.
HIGH_PERIODS, LOW_PERIODS, LOW_SHARE = 3, 15, 0.9
EC2_METRICS = {
    "ASGAverageCPUUtilization": "CPUUtilization",
    "ASGAverageNetworkIn": "NetworkIn",
    "ASGAverageNetworkOut": "NetworkOut",
}


def install(now: Callable[[], float]) -> None:
    @around(FakeScalingPolicy, "__init__")
    def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.uuid, self.enabled, self.alarms, self.quiet_until = str(uuid.uuid4()), True, [], 0.0
        self.predictive_scaling_configuration = self.predictive_scaling_configuration or None

    FakeScalingPolicy.arn = FakeScalingPolicy.policy_arn = property(_arn)
    AutoScalingBackend.delete_policy = _delete
    operation(AutoScalingResponse, "DeletePolicy")(_delete_policy)

    @around(AutoScalingResponse, "put_scaling_policy")
    def put_scaling_policy(original: Method, response: Any) -> Any:
        return _put(original, response)

    @operation(AutoScalingResponse, "ExecutePolicy")
    def execute_policy(response: Any) -> Any:
        group, policy = _find(response)
        if response._get_bool_param("HonorCooldown", False) and now() < group.facts.cooldown_until:
            raise AWSError("ScalingActivityInProgress", "A cooldown is in progress and blocks this action.")
        _change_capacity(group, _adjusted(group, policy), f"a user request executed policy {policy.name}")
        return EmptyResult()


def _arn(policy: Any) -> str:
    backend = policy.autoscaling_backend
    place = f"arn:aws:autoscaling:{backend.region_name}:{backend.account_id}"
    names = f"autoScalingGroupName/{policy.auto_scaling_group_name}:policyName/{policy.name}"
    return f"{place}:scalingPolicy:{policy.uuid}:{names}"


def _put(original: Method, response: Any) -> ActionResult:
    """Policies are told apart by group and name, where moto takes the name alone."""
    backend, name = response.autoscaling_backend, response._get_param("PolicyName")
    key = f"{response._get_param('AutoScalingGroupName')}/{name}"
    before = backend.policies.get(key)
    original(response)
    policy = backend.policies.pop(name)
    policy.enabled = response._get_bool_param("Enabled", True)
    if before:
        policy.uuid = before.uuid
        _delete_alarms(before)
    backend.policies[key] = policy
    if policy.policy_type == "TargetTrackingScaling":
        policy.alarms = _create_alarms(policy)
    return ActionResult({"PolicyARN": policy.arn, "Alarms": policy.alarms})


def _delete(backend: Any, key: str) -> None:
    if policy := backend.policies.pop(key, None):
        _delete_alarms(policy)


def _find(response: Any) -> tuple[Any, Any]:
    """The policy that a request means, by name or ARN."""
    wanted, group_name = response._get_param("PolicyName"), response._get_param("AutoScalingGroupName")
    for policy in response.autoscaling_backend.policies.values():
        if wanted in (policy.name, policy.arn) and group_name in (None, policy.auto_scaling_group_name):
            return response.autoscaling_backend.autoscaling_groups[policy.auto_scaling_group_name], policy
    raise AWSError("ValidationError", f"Policy name not found - Policy with name {wanted} does not exist.")


def _delete_policy(response: Any) -> Any:
    group, policy = _find(response)
    _delete(response.autoscaling_backend, f"{group.name}/{policy.name}")
    return EmptyResult()


def _cloudwatch(policy: Any) -> Any:
    backend = policy.autoscaling_backend
    return cloudwatch_backends[backend.account_id][backend.region_name]


def _delete_alarms(policy: Any) -> None:
    _cloudwatch(policy).delete_alarms([one["AlarmName"] for one in policy.alarms])


def _create_alarms(policy: Any) -> list[dict[str, str]]:
    wish = vars(policy.target_tracking_configuration)
    target = float(wish["TargetValue"])
    alarms = [_create_alarm(policy, "High", "GreaterThanThreshold", HIGH_PERIODS, target)]
    if not wish.get("DisableScaleIn"):
        alarms.append(_create_alarm(policy, "Low", "LessThanThreshold", LOW_PERIODS, target * LOW_SHARE))
    return alarms


def _create_alarm(policy: Any, side: str, comparison: str, periods: int, threshold: float) -> dict[str, str]:
    alarm = _cloudwatch(policy).put_metric_alarm(
        name=f"TargetTracking-{policy.auto_scaling_group_name}-Alarm{side}-{uuid.uuid4()}",
        comparison_operator=comparison,
        evaluation_periods=periods,
        period=60,
        threshold=threshold,
        description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
        alarm_actions=[policy.arn],
        **_metric(policy),
    )
    return {"AlarmName": alarm.name, "AlarmARN": alarm.alarm_arn}


def _metric(policy: Any) -> dict[str, Any]:
    wish = vars(policy.target_tracking_configuration)
    group = [{"Name": "AutoScalingGroupName", "Value": policy.auto_scaling_group_name}]
    custom, predefined = wish.get("CustomizedMetricSpecification"), wish.get("PredefinedMetricSpecification") or {}
    if custom:
        namespace, name = custom.get("Namespace", ""), custom.get("MetricName", "")
        dimensions, statistic = custom.get("Dimensions") or [], custom.get("Statistic", "Average")
    elif predefined.get("PredefinedMetricType") == "ALBRequestCountPerTarget":
        namespace, name, statistic = "AWS/ApplicationELB", "RequestCountPerTarget", "Sum"
        balancer, _, target_group = predefined.get("ResourceLabel", "").partition("/targetgroup/")
        dimensions = [
            {"Name": "TargetGroup", "Value": f"targetgroup/{target_group}"},
            {"Name": "LoadBalancer", "Value": balancer},
        ]
    else:
        namespace, statistic, dimensions = "AWS/EC2", "Average", group
        name = EC2_METRICS.get(predefined.get("PredefinedMetricType", ""), "CPUUtilization")
    return {"namespace": namespace, "metric_name": name, "dimensions": dimensions, "statistic": statistic}


def act(backend: Any, now: float) -> None:
    """Follow the alarms of the policies, once per warm-up."""
    for policy in backend.policies.values():
        group = backend.autoscaling_groups.get(policy.auto_scaling_group_name)
        if group and policy.enabled and now >= policy.quiet_until and not is_suspended(group, "AlarmNotification"):
            for alarm in _ringing(policy):
                policy.quiet_until = now + _warmup(group, policy)
                words = f"a monitor alarm {alarm.name} in state ALARM triggered policy {policy.name}"
                _change_capacity(group, _adjusted(group, policy, alarm), words)


def _ringing(policy: Any) -> list[Any]:
    backend = _cloudwatch(policy)
    mine = [
        one
        for one in backend.alarms.values()
        if one.actions_enabled and policy.arn in one.alarm_actions and not is_muted(backend, one.name)
    ]
    ringing = [one for one in mine if one.state_value == "ALARM"]
    # Scaling out wins over scaling in.
    return sorted(ringing, key=lambda one: str(one.comparison_operator).startswith("Less"))[:1]


def _warmup(group: Any, policy: Any) -> float:
    own = policy.estimated_instance_warmup or policy.cooldown or group.default_instance_warmup
    return float(own or DEFAULT_WARMUP_SECONDS)


def _adjusted(group: Any, policy: Any, alarm: Any = None) -> int:
    """The desired capacity that the policy asks for. Target tracking goes by single steps here."""
    current = int(group.desired_capacity)
    if policy.policy_type == "TargetTrackingScaling":
        return current - 1 if alarm and str(alarm.comparison_operator).startswith("Less") else current + 1
    change = policy.scaling_adjustment
    if policy.policy_type == "StepScaling":
        change = policy.step_adjustments[0]["ScalingAdjustment"]
    if policy.adjustment_type == "ExactCapacity":
        return int(change)
    if policy.adjustment_type == "PercentChangeInCapacity":
        share = current * int(change) / 100
        change = (1 if share > 0 else -1) if 0 < abs(share) < 1 else int(share)
    return current + int(change)


def _change_capacity(group: Any, wanted: int, because: str) -> None:
    before, desired = group.desired_capacity, min(max(wanted, group.min_size), group.max_size)
    if desired != before:
        group.desired_capacity = desired
        change = f"changing the desired capacity from {before} to {desired}."
        group.facts.cause = f"At {stamp()} {because} {change}  "
