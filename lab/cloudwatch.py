"""CloudWatch: percentiles, exact dimensions and aligned periods where moto has none, in little memory."""

import time
from datetime import datetime, timedelta
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend, MetricDatum, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.common_models import BaseModel

from lab import alarms
from lab.alarm_states import AlarmStates
from lab.extend import AWSError, Method, around, operation
from lab.lab import Lab
from lab.metric_arrivals import Arrivals
from lab.metric_math import TimeSeries, evaluate
from lab.metric_series import STATISTICS, Metric, Series, floor, is_percentile, is_statistic, naive_utc

MOST_DATAPOINTS = 1440
PRUNE_SECONDS = 60.0
SHORT_PERIODS = (1, 5, 10, 20, 30)


class CloudWatch:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._prune_at = 0.0
        self._alarms = AlarmStates(lab)

    def install(self) -> None:
        minutes = self.lab.minutes

        # moto remembers every model object for ever, each log event and sample too; nothing here reads that.
        BaseModel.__new__ = staticmethod(lambda cls, *_args, **_kwargs: object.__new__(cls))

        @around(CloudWatchBackend, "__init__")
        def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.series = Series()
            self.arrivals = Arrivals(minutes)

        CloudWatchBackend.put_metric_data = put_metric_data
        CloudWatchBackend.get_metric_data = get_metric_data
        CloudWatchBackend.get_all_metrics = get_all_metrics
        operation(CloudWatchResponse, "GetMetricStatistics")(get_metric_statistics)
        alarms.install(self._alarms)

    def tick(self) -> None:
        self._alarms.tick()
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_SECONDS
            for _, _, backend in cloudwatch_backends.iter_backends():
                backend.series.forget_old()
                backend.arrivals.forget_old()

    def reset(self) -> None:
        """Nothing real belongs to CloudWatch."""


def put_metric_data(backend: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    for number, datum in enumerate(metric_data, 1):
        backend._validate_parameters_put_metric_data(datum, number)
    for datum in metric_data:
        dimensions, unit = datum.get("Dimensions") or [], datum.get("Unit") or "None"
        metric = Metric.of(namespace, datum["MetricName"], dimensions, unit)
        backend.series.add(metric, datum)
        backend.arrivals.add(metric, datum)


def get_all_metrics(backend: Any) -> list[Any]:
    """One datum per metric: what ListMetrics needs of them."""
    return [
        MetricDatum(
            metric.namespace,
            metric.name,
            0.0,
            [{"Name": name, "Value": value} for name, value in metric.dimensions],
            max(moments),
            metric.unit,
        )
        for metric, moments in all_series(backend).items()
    ]


def all_series(backend: Any) -> Series:
    """What was put, and what moto's S3 and SQS tell of themselves."""
    computed = backend.aws_metric_data
    if not computed:
        series: Series = backend.series
        return series
    everything = Series(backend.series)
    for datum in computed:
        dimensions = tuple(sorted((one.name, one.value) for one in datum.dimensions))
        metric = Metric(datum.namespace, datum.name, dimensions, datum.unit)
        everything.pop(metric, None)
        everything.add(metric, {"Value": datum.value, "Timestamp": datum.timestamp, "StorageResolution": 1})
    return everything


def get_metric_statistics(response: Any) -> dict[str, Any]:
    statistics = response._get_param("Statistics", [])
    extended = response._get_param("ExtendedStatistics", [])
    period = response._get_int_param("Period")
    _require_statistics(statistics, extended)
    start, end = _range(response._get_param("StartTime"), response._get_param("EndTime"), period)
    if start >= end:
        raise AWSError("InvalidParameterValue", "The parameter StartTime must be less than the parameter EndTime.")
    _require_few_datapoints(start, end, period)
    name = response._get_param("MetricName")
    dimensions = response._get_param("Dimensions", [])
    query = Metric.of(response._get_param("Namespace"), name, dimensions, response._get_param("Unit"))
    datapoints = []
    for unit, periods in all_series(response.cloudwatch_backend).between(query, start, end, period).items():
        for begins, samples in periods.items():
            datapoint: dict[str, Any] = {"Timestamp": begins, "Unit": unit}
            datapoint |= {name: samples.statistic(name) for name in statistics}
            if extended:
                datapoint["ExtendedStatistics"] = {p: samples.statistic(p) for p in extended}
            datapoints.append(datapoint)
    return {"Label": name, "Datapoints": datapoints}


def _require_statistics(statistics: list[str], extended: list[str]) -> None:
    if statistics and extended:
        words = "The parameters Statistics and ExtendedStatistics are mutually exclusive: specify either, not both"
        raise AWSError("InvalidParameterCombination", words)
    if not statistics and not extended:
        raise AWSError("InvalidParameterCombination", "Must specify either Statistics or ExtendedStatistics")
    for name in statistics:
        if name not in STATISTICS:
            words = f"Member must satisfy enum value set: [{', '.join(STATISTICS)}]"
            raise AWSError(
                "ValidationError",
                f"1 validation error detected: Value '[{name}]' at 'statistics' failed to satisfy constraint: {words}",
            )
    for number, name in enumerate(extended, 1):
        if not is_percentile(name):
            words = f"The value {name} for parameter ExtendedStatistics.member.{number} is not supported."
            raise AWSError("InvalidParameterValue", words)


def _range(start: datetime, end: datetime, period: int) -> tuple[datetime, datetime]:
    """AWS rounds the start down to the minute, or to the period when that is shorter."""
    if period not in SHORT_PERIODS and (period < 60 or period % 60):
        words = f"The value {period} for parameter Period is invalid: it must be 1, 5, 10, 20, 30 or a multiple of 60"
        raise AWSError("InvalidParameterValue", words)
    return floor(naive_utc(start), min(period, 60)), naive_utc(end)


def _require_few_datapoints(start: datetime, end: datetime, period: int) -> None:
    asked = int((end - start) / timedelta(seconds=period))
    if asked > MOST_DATAPOINTS:
        words = (
            f"You have requested up to {asked:,} datapoints, which exceeds the limit of 1,440. You may reduce the "
            "datapoints requested by increasing Period, or decreasing the time range."
        )
        raise AWSError("InvalidParameterCombination", words)


def get_metric_data(
    backend: Any,
    queries: list[dict[str, Any]],
    start_time: datetime,
    end_time: datetime,
    scan_by: str = "TimestampAscending",
) -> list[dict[str, Any]]:
    if naive_utc(start_time) >= naive_utc(end_time):
        raise AWSError("ValidationError", "The parameter EndTime must be greater than StartTime.")
    series = all_series(backend)
    found = {q["Id"]: _query(series, q, start_time, end_time) for q in queries if "MetricStat" in q}
    for query in queries:
        if "Expression" in query:
            found[query["Id"]] = _calculate(query["Expression"], found)
    return [
        _result(query, found[query["Id"]], scan_by)
        for query in queries
        if str(query.get("ReturnData", True)).lower() == "true"
    ]


def _query(series: Series, query: dict[str, Any], start: datetime, end: datetime) -> TimeSeries:
    asked = query["MetricStat"]
    statistic, period = asked["Stat"], int(asked["Period"])
    if not is_statistic(statistic):
        raise AWSError("ValidationError", f"Stat '{statistic}' of query '{query['Id']}' is not offered by this lab")
    named = asked["Metric"]
    metric = Metric.of(named["Namespace"], named["MetricName"], named.get("Dimensions") or [], asked.get("Unit"))
    start, end = _range(start, end, period)
    values: TimeSeries = {}
    for periods in series.between(metric, start, end, period).values():
        for begins, samples in periods.items():
            if (value := samples.statistic(statistic)) is not None:
                values[begins] = value
    return values


def _calculate(expression: str, found: dict[str, TimeSeries]) -> TimeSeries:
    if expression.lstrip().upper().startswith(("SELECT", "SEARCH")):
        raise AWSError("ValidationError", "Metrics Insights and SEARCH are not offered by this lab")
    return evaluate(expression, found)


def _result(query: dict[str, Any], values: TimeSeries, scan_by: str) -> dict[str, Any]:
    moments = sorted(values, reverse=scan_by == "TimestampDescending")
    asked = query.get("MetricStat")
    label = query.get("Label") or (asked["Metric"]["MetricName"] if asked else query["Id"])
    return {
        "id": query["Id"],
        "label": label,
        "timestamps": moments,
        "values": [values[moment] for moment in moments],
        "status_code": "Complete",
    }
