"""CloudWatch alarms: their first state, their history, composite ones. Who evaluates them sets `state_value`."""

import json
import re
from collections import deque
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from lab.extend import AWSError, Method, around, operation
from lab.metric_series import naive_utc

ITEMS_KEPT = 10_000
STATE_FIELDS = ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp")


def install() -> None:
    """Adds `CloudWatchBackend.alarm_history`, newest first, which outlives the alarms as on AWS."""

    @around(CloudWatchBackend, "__init__")
    def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.alarm_history = deque(maxlen=ITEMS_KEPT)

    Alarm.alarm_rule = property(lambda self: self.rule)
    CloudWatchBackend.put_metric_alarm = _keeping_state(CloudWatchBackend.put_metric_alarm)
    CloudWatchBackend.set_alarm_state = _with_history(CloudWatchBackend.set_alarm_state)
    operation(CloudWatchResponse, "PutCompositeAlarm")(put_composite_alarm)
    operation(CloudWatchResponse, "DescribeAlarmHistory")(describe_alarm_history)

    @around(CloudWatchResponse, "describe_alarms")
    def describe_alarms(original: Method, self: Any) -> Any:
        answer = original(self).result
        wanted = self._get_param("AlarmTypes") or ["MetricAlarm"]
        kept = {"MetricAlarms": "MetricAlarm", "CompositeAlarms": "CompositeAlarm"}
        return ActionResult(
            {key: [a for a in answer[key] if _matches(self, a)] if kind in wanted else [] for key, kind in kept.items()}
        )


def _matches(self: Any, alarm: Any) -> bool:
    """Every filter of the request at once; moto takes the first one that is given."""
    names, state = self._get_param("AlarmNames") or [alarm.name], self._get_param("StateValue") or alarm.state_value
    actions, prefix = self._get_param("ActionPrefix") or "", self._get_param("AlarmNamePrefix") or ""
    acts = [*(alarm.alarm_actions or []), *(alarm.ok_actions or []), *(alarm.insufficient_data_actions or [])]
    fits_action = not actions or any(one.startswith(actions) for one in acts)
    return alarm.name in names and alarm.state_value == state and alarm.name.startswith(prefix) and fits_action


def _keeping_state(original: Method) -> Method:
    def put_metric_alarm(self: Any, name: str, **settings: Any) -> Any:
        before = self.alarms.get(name)
        alarm = original(self, name=name, **settings)
        alarm.state_value = "INSUFFICIENT_DATA"
        for one in STATE_FIELDS if before else ():
            setattr(alarm, one, getattr(before, one))
        remember(self, alarm, "ConfigurationUpdate", f'Alarm "{name}" {"updated" if before else "created"}', {})
        return alarm

    return put_metric_alarm


def _with_history(original: Method) -> Method:
    def set_alarm_state(self: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        alarm = self.alarms.get(alarm_name)
        before = alarm and _state(alarm)
        original(self, alarm_name, reason, reason_data, state_value)
        if before["stateValue"] != state_value:
            summary = f"Alarm updated from {before['stateValue']} to {state_value}"
            remember(self, alarm, "StateUpdate", summary, {"oldState": before, "newState": _state(alarm)})

    return set_alarm_state


def _state(alarm: Any) -> dict[str, Any]:
    return {"stateValue": alarm.state_value, "stateReason": alarm.state_reason}


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


def put_composite_alarm(response: Any) -> Any:
    rule = response._get_param("AlarmRule")
    known = response.cloudwatch_backend.alarms
    for name in re.findall(r'(?:ALARM|OK|INSUFFICIENT_DATA)\(\s*"?([^")]+?)"?\s*\)', rule):
        if name not in known and all(alarm.alarm_arn != name for alarm in known.values()):
            raise AWSError("ValidationError", f"Could not find alarm(s): [{name}]")
    return response.put_metric_alarm()


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
