"""What happened to alarms: DescribeAlarmHistory, which outlives the alarms as on AWS."""

import json
from collections import deque
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.utils import utcnow

from lab.extend import Method, around, operation
from lab.metric_series import naive_utc

ITEMS_KEPT = 10_000


def install() -> None:
    """Adds `CloudWatchBackend.alarm_history`, newest first."""

    @around(CloudWatchBackend, "__init__")
    def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.alarm_history = deque(maxlen=ITEMS_KEPT)

    operation(CloudWatchResponse, "DescribeAlarmHistory")(describe_alarm_history)


def remember(backend: Any, alarm: Any, kind: str, summary: str, data: dict[str, Any]) -> None:
    item = {
        "AlarmName": alarm.name,
        "AlarmType": "CompositeAlarm" if alarm.rule else "MetricAlarm",
        "Timestamp": utcnow(),
        "HistoryItemType": kind,
        "HistorySummary": summary,
        "HistoryData": json.dumps({"version": "1.0", **data}),
    }
    backend.alarm_history.appendleft(item)


def describe_alarm_history(response: Any) -> dict[str, Any]:
    name, kind = response._get_param("AlarmName"), response._get_param("HistoryItemType")
    start, end = response._get_param("StartDate"), response._get_param("EndDate")
    types = response._get_param("AlarmTypes") or ["MetricAlarm"]
    found = [
        item
        for item in response.cloudwatch_backend.alarm_history
        if (item["AlarmName"] == name if name else item["AlarmType"] in types)
        and kind in (None, item["HistoryItemType"])
        and (start is None or item["Timestamp"] >= naive_utc(start))
        and (end is None or item["Timestamp"] <= naive_utc(end))
    ]
    if response._get_param("ScanBy") == "TimestampAscending":
        found.reverse()
    return {"AlarmHistoryItems": found[: response._get_int_param("MaxRecords") or 100]}
