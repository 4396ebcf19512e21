"""Metric filters: log events that match a pattern become samples of a CloudWatch metric as they arrive."""

import re
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.logs.metric_filters import MetricFilters
from moto.logs.models import LogGroup, LogStream, logs_backends
from moto.logs.responses import LogsResponse

from lab.extend import AWSError, Method, around, operation
from lab.log_pattern import MISSING, BadPattern, LogPattern, compile_pattern, is_number, parse_document, select

SELECTOR = re.compile(r"\$[.\[]")
MOST_DIMENSIONS = 3


def install() -> None:
    around(LogsResponse, "put_metric_filter")(put_metric_filter)
    around(MetricFilters, "add_filter")(add_filter)
    around(LogStream, "put_log_events")(put_log_events)
    around(LogGroup, "to_describe_dict")(to_describe_dict)
    operation(LogsResponse, "TestMetricFilter")(test_metric_filter)


def put_metric_filter(original: Method, self: Any) -> Any:
    if self._get_param("logGroupName") not in self.logs_backend.groups:
        raise AWSError("ResourceNotFoundException", "The specified log group does not exist.")
    pattern_of(self._get_param("filterPattern"))
    for transformation in self._get_param("metricTransformations"):
        if len(transformation.get("dimensions") or {}) > MOST_DIMENSIONS:
            message = f"A metric filter has at most {MOST_DIMENSIONS} dimensions."
            raise AWSError("InvalidParameterException", message)
        if transformation.get("dimensions") and transformation.get("defaultValue") is not None:
            message = "A metric filter with dimensions cannot have a default value."
            raise AWSError("InvalidParameterException", message)
    return original(self)


def pattern_of(text: str | None) -> LogPattern:
    try:
        return compile_pattern(text)
    except BadPattern as error:
        raise AWSError("InvalidParameterException", str(error)) from error


def add_filter(original: Method, self: Any, filter_name: str, pattern: str, group: str, *rest: Any) -> None:
    """A filter of the same name is replaced; moto would keep both."""
    self.delete_filter(filter_name, group)
    original(self, filter_name, pattern, group, *rest)
    self.metric_filters[-1]["creationTime"] = int(datetime.now(UTC).timestamp() * 1000)


def to_describe_dict(original: Method, self: Any) -> Any:
    return original(self) | {"metricFilterCount": len(_filters_of(self))}


def _filters_of(group: Any) -> list[dict[str, Any]]:
    backend = logs_backends[group.account_id][group.region]
    found: list[dict[str, Any]] = backend.filters.get_matching_filters(log_group_name=group.name)
    return found


def put_log_events(original: Method, self: Any, log_events: list[dict[str, Any]]) -> Any:
    answer = original(self, log_events)
    for one in _filters_of(self.log_group):
        for transformation in one["metricTransformations"]:
            data = samples(one["filterPattern"], transformation, log_events)
            backend = cloudwatch_backends[self.account_id][self.region]
            if data:
                backend.put_metric_data(transformation["metricNamespace"], data)
    return answer


def samples(pattern: str, transformation: dict[str, Any], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One per matching event; the default value stands for each minute that had events of which none matched."""
    matches = compile_pattern(pattern).matches
    data: list[dict[str, Any]] = []
    silent_minutes: dict[int, int | None] = {}
    for event in events:
        minute = event["timestamp"] // 60_000
        sample = _sample(transformation, event) if matches(event["message"]) else None
        if sample:
            data.append(sample)
            silent_minutes[minute] = None
        else:
            silent_minutes.setdefault(minute, event["timestamp"])
    if transformation.get("defaultValue") is not None:
        default = float(transformation["defaultValue"])
        data += [_datum(transformation, default, moment, []) for moment in silent_minutes.values() if moment]
    return data


def _sample(transformation: dict[str, Any], event: dict[str, Any]) -> dict[str, Any] | None:
    document = parse_document(event["message"])
    value = _value(transformation["metricValue"], document)
    if value is None:
        return None
    dimensions = [
        {"Name": name, "Value": str(found)}
        for name, selector in (transformation.get("dimensions") or {}).items()
        if document is not MISSING and (found := select(document, selector)) is not MISSING
    ]
    return _datum(transformation, value, event["timestamp"], dimensions)


def _value(wanted: str, document: Any) -> float | None:
    if not SELECTOR.match(wanted):
        return float(wanted)
    found = select(document, wanted) if document is not MISSING else MISSING
    return float(found) if is_number(found) else None


def _datum(
    transformation: dict[str, Any], value: float, timestamp: int, dimensions: list[dict[str, str]]
) -> dict[str, Any]:
    return {
        "MetricName": transformation["metricName"],
        "Value": value,
        "Unit": transformation.get("unit") or "None",
        "Timestamp": datetime.fromtimestamp(timestamp / 1000, UTC),
        "Dimensions": dimensions,
    }


def test_metric_filter(self: Any) -> dict[str, Any]:
    pattern = pattern_of(self._get_param("filterPattern"))
    messages = enumerate(self._get_param("logEventMessages"), 1)
    return {
        "matches": [
            {"eventNumber": number, "eventMessage": message, "extractedValues": {}}
            for number, message in messages
            if pattern.matches(message)
        ]
    }
