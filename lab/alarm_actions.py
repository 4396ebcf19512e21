"""What an alarm does when its state changes: the message that CloudWatch sends to Amazon SNS."""

import json
from datetime import datetime
from functools import cache
from typing import Any

import boto3
from moto.core.utils import utcnow
from moto.sns.models import sns_backends

from lab.alarm_history import remember
from lab.alarm_mutes import is_muted, mute_action
from lab.lab import Lab

ACTIONS = {"ALARM": "alarm_actions", "OK": "ok_actions", "INSUFFICIENT_DATA": "insufficient_data_actions"}


def act(lab: Lab, backend: Any, alarm: Any, before: str) -> None:
    """Scaling policies follow the state by themselves: lab.scaling_policies."""
    if not alarm.actions_enabled:
        return
    if is_muted(backend, alarm.name):
        mute_action(backend, alarm, before)
        return
    message = json.dumps(message_of(backend, alarm, before))
    for arn in getattr(alarm, ACTIONS[alarm.state_value]) or []:
        if arn.split(":")[2:3] == ["sns"]:
            _publish(lab, backend, alarm, arn, message)


def _publish(lab: Lab, backend: Any, alarm: Any, arn: str, message: str) -> None:
    topics = sns_backends[backend.account_id][arn.split(":")[3]]
    known = arn in topics.topics
    subject = f'{alarm.state_value}: "{alarm.name}" in {region_name(backend.region_name)}'
    if known:  # beside the control loop: a subscriber may be a server that takes its time
        lab.work(lambda: topics.publish(message, arn=arn, subject=subject[:100]))
    summary = (
        f"Successfully executed action {arn}"
        if known
        else f'Failed to execute action {arn}. Received error: "Topic does not exist"'
    )
    data = {
        "actionState": "Succeeded" if known else "Failed",
        "stateUpdateTimestamp": int(alarm.state_updated_timestamp.timestamp() * 1000),
        "notificationResource": arn,
        "publishedMessage": json.dumps({"default": message}) if known else None,
        "error": None if known else "Topic does not exist",
    }
    remember(backend, alarm, "Action", summary, data)


def message_of(backend: Any, alarm: Any, before: str) -> dict[str, Any]:
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": backend.account_id,
        "AlarmConfigurationUpdatedTimestamp": stamp(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": stamp(alarm.state_updated_timestamp),
        "Region": region_name(backend.region_name),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "OKActions": alarm.ok_actions or [],
        "AlarmActions": alarm.alarm_actions or [],
        "InsufficientDataActions": alarm.insufficient_data_actions or [],
    }
    if alarm.rule:
        triggering = json.loads(alarm.state_reason_data or "{}").get("triggeringAlarms", [])
        children = [
            {"Arn": one["arn"], "State": {"Value": one["state"]["value"], "Timestamp": one["state"]["timestamp"]}}
            for one in triggering
        ]
        return message | {"AlarmRule": alarm.rule, "TriggeringChildren": children}
    return message | {"Trigger": _trigger(alarm)}


def _trigger(alarm: Any) -> dict[str, Any]:
    trigger = {
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }
    if alarm.metric_data_queries:
        return _known(trigger) | {"Metrics": [_query(one) for one in alarm.metric_data_queries]}
    kind = "ExtendedStatistic" if alarm.extended_statistic else "Statistic"
    statistic = alarm.extended_statistic or alarm.statistic.upper()
    metric = {"MetricName": alarm.metric_name, "Namespace": alarm.namespace, "StatisticType": kind, kind: statistic}
    return metric | {"Unit": alarm.unit, "Dimensions": _dimensions(alarm.dimensions)} | _known(trigger)


def _query(query: Any) -> dict[str, Any]:
    told = {"Id": query.id, "Label": query.label, "Expression": query.expression}
    if stat := query.metric_stat:
        named = stat.metric
        metric = {"Dimensions": _dimensions(named.dimensions), "MetricName": named.metric_name}
        metric["Namespace"] = named.namespace
        told["MetricStat"] = {"Metric": metric, "Period": stat.period, "Stat": stat.stat}
    return _known(told) | {"ReturnData": str(query.return_data).lower() != "false"}


def _dimensions(dimensions: list[Any]) -> list[dict[str, str]]:
    return [{"value": one.value, "name": one.name} for one in dimensions]


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def stamp(moment: datetime | None = None) -> str:
    """2026-11-24T10:00:00.000+0000, as alarms write a time."""
    return f"{(moment or utcnow()):%Y-%m-%dT%H:%M:%S}.{(moment or utcnow()).microsecond // 1000:03d}+0000"


@cache
def region_name(region: str) -> str:
    """EU (Stockholm): the messages keep the names that regions had."""
    resolver = boto3.session.Session()._session.get_component("endpoint_resolver")
    for partition in resolver._endpoint_data["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"]).replace("Europe (", "EU (")
    return region
