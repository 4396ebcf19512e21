"""What exists of the services that answer, run, watch and tell, found by name: import ids by Terraform type."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tasks import aws
from tasks.inventory_answer import find

Values = Mapping[str, Any]


def _load_balancers(values: Values) -> Iterable[str]:
    found = find("elbv2", "describe_load_balancers", Names=[values["name"]])
    return [one["LoadBalancerArn"] for one in found.get("LoadBalancers", [])]


def _target_groups(values: Values) -> Iterable[str]:
    found = find("elbv2", "describe_target_groups", Names=[values["name"]])
    return [one["TargetGroupArn"] for one in found.get("TargetGroups", [])]


def _listeners(values: Values) -> Iterable[str]:
    if not values.get("load_balancer_arn"):
        return []
    found = find("elbv2", "describe_listeners", LoadBalancerArn=values["load_balancer_arn"])
    return [one["ListenerArn"] for one in found.get("Listeners", []) if one["Port"] == values["port"]]


def _roles(values: Values) -> Iterable[str]:
    return [values["name"]] if find("iam", "get_role", RoleName=values["name"]) else []


def _role_policies(values: Values) -> Iterable[str]:
    role, name = values["role"], values["name"]
    return [f"{role}:{name}"] if find("iam", "get_role_policy", RoleName=role, PolicyName=name) else []


def _attachments(values: Values) -> Iterator[str]:
    found = find("iam", "list_attached_role_policies", RoleName=values["role"])
    for one in found.get("AttachedPolicies", []):
        if one["PolicyArn"] == values["policy_arn"]:
            yield f"{values['role']}/{one['PolicyArn']}"


def _profiles(values: Values) -> Iterable[str]:
    return [values["name"]] if find("iam", "get_instance_profile", InstanceProfileName=values["name"]) else []


def _log_groups(values: Values) -> Iterable[str]:
    found = find("logs", "describe_log_groups", logGroupNamePrefix=values["name"])
    return [one["logGroupName"] for one in found["logGroups"] if one["logGroupName"] == values["name"]]


def _metric_filters(values: Values) -> Iterable[str]:
    group, name = values["log_group_name"], values["name"]
    found = find("logs", "describe_metric_filters", logGroupName=group, filterNamePrefix=name)
    return [f"{group}:{name}" for one in found.get("metricFilters", []) if one["filterName"] == name]


def _alarms(values: Values) -> Iterable[str]:
    found = find("cloudwatch", "describe_alarms", AlarmNames=[values["alarm_name"]])
    return [one["AlarmName"] for one in found["MetricAlarms"]]


def _dashboards(values: Values) -> Iterable[str]:
    name = values["dashboard_name"]
    return [name] if find("cloudwatch", "get_dashboard", DashboardName=name) else []


def _topics(values: Values) -> Iterable[str]:
    arns = aws.client("sns").get_paginator("list_topics").paginate().search("Topics[].TopicArn")
    return [arn for arn in arns if arn.rpartition(":")[2] == values["name"]]


def _topic_policies(values: Values) -> Iterable[str]:
    """Each topic has one from its beginning."""
    return [values["arn"]] if values.get("arn") else []


def _subscriptions(values: Values) -> Iterator[str]:
    """One that nobody has confirmed has no ARN yet; made again, it is the same one."""
    if not values.get("topic_arn"):
        return
    found = find("sns", "list_subscriptions_by_topic", TopicArn=values["topic_arn"])
    for one in found.get("Subscriptions", []):
        if one["Endpoint"] == values["endpoint"] and one["SubscriptionArn"].startswith("arn:"):
            yield one["SubscriptionArn"]


def _parameters(values: Values) -> Iterable[str]:
    return [values["name"]] if find("ssm", "get_parameter", Name=values["name"]) else []


SERVICES: Mapping[str, Callable[[Values], Iterable[str]]] = {
    "aws_lb": _load_balancers,
    "aws_lb_target_group": _target_groups,
    "aws_lb_listener": _listeners,
    "aws_iam_role": _roles,
    "aws_iam_role_policy": _role_policies,
    "aws_iam_role_policy_attachment": _attachments,
    "aws_iam_instance_profile": _profiles,
    "aws_cloudwatch_log_group": _log_groups,
    "aws_cloudwatch_log_metric_filter": _metric_filters,
    "aws_cloudwatch_metric_alarm": _alarms,
    "aws_cloudwatch_dashboard": _dashboards,
    "aws_sns_topic": _topics,
    "aws_sns_topic_policy": _topic_policies,
    "aws_sns_topic_subscription": _subscriptions,
    "aws_ssm_parameter": _parameters,
}
