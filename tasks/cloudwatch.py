"""Amazon CloudWatch: which alarms fire, and what a metric says now."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasks import aws
from tasks.kinds import probe

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_cloudwatch.literals import StateValueType

RECENT = timedelta(minutes=10)  # RDS and the load balancer send a value a minute, some minutes late
PERIOD_SECONDS = 60


@dataclass(frozen=True)
class RaisedAlarm:
    """An alarm in ALARM; `since` tells one time that it was raised from the next."""

    name: str
    arn: str
    since: datetime
    reason: str


@probe
def find_raised_alarms(names: Collection[str]) -> tuple[RaisedAlarm, ...]:
    """Which of these alarms are in ALARM, and since when."""
    return tuple(
        RaisedAlarm(
            alarm["AlarmName"],
            alarm["AlarmArn"],
            alarm["StateTransitionedTimestamp"].astimezone(UTC),
            alarm["StateReason"],
        )
        for alarm in _describe(names, "ALARM")
    )


def firing_alarms(names: Collection[str]) -> list[str]:
    """Which of these alarms are in state ALARM."""
    return [alarm["AlarmName"] for alarm in _describe(names, "ALARM")]


def raised_alarms(names: Collection[str], since: datetime) -> list[str]:
    """Which of these alarms went to state ALARM since then, also when they are calm again."""
    pages = _cloudwatch().get_paginator("describe_alarm_history")
    return [
        name
        for name in names
        if any(
            json.loads(item["HistoryData"])["newState"]["stateValue"] == "ALARM"
            for page in pages.paginate(AlarmName=name, HistoryItemType="StateUpdate", StartDate=since)
            for item in page["AlarmHistoryItems"]
        )
    ]


def latest_maximum(namespace: str, metric: str, **dimensions: str) -> float | None:
    """The newest value of a metric, or None when it has none of the last ten minutes: unknown is not zero."""
    now = datetime.now(UTC)
    found = _cloudwatch().get_metric_data(
        MetricDataQueries=[
            {
                "Id": "latest",
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": metric,
                        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                    },
                    "Period": PERIOD_SECONDS,
                    "Stat": "Maximum",
                },
            }
        ],
        StartTime=now - RECENT,
        EndTime=now + timedelta(minutes=1),
        ScanBy="TimestampDescending",
    )
    return next(iter(found["MetricDataResults"][0]["Values"]), None)


def _describe(names: Collection[str], state: "StateValueType") -> list[Any]:
    pages = _cloudwatch().get_paginator("describe_alarms")
    return [
        alarm
        for page in pages.paginate(
            AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"], StateValue=state
        )
        for alarm in [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]
    ]


def _cloudwatch() -> "CloudWatchClient":
    client: CloudWatchClient = aws.client("cloudwatch")
    return client
