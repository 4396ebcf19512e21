"""The datapoints that an alarm evaluates: of its metric, or of its metric math, over whole minutes of AWS's."""

from datetime import timedelta
from typing import Any

from moto.core.utils import utcnow

from lab.alarm_evaluation import Condition, Datapoint
from lab.metric_arrivals import Arrivals
from lab.metric_math import TimeSeries, evaluate
from lab.metric_series import Metric

MINUTE_SECONDS = 60
LOW_SAMPLE_COUNT = 10  # of AWS's rule for percentiles: fewer than 10 / (1 - percentile)

Windows = list[tuple[Any, int, int]]  # when each began, and its first minute and the one behind it


def condition_of(alarm: Any) -> Condition:
    return Condition(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        evaluation_periods=int(alarm.evaluation_periods),
        datapoints_to_alarm=alarm.datapoints_to_alarm and int(alarm.datapoints_to_alarm),
        treat_missing_data=alarm.treat_missing_data or "missing",
    )


def datapoints(alarm: Any, arrivals: Arrivals) -> list[Datapoint]:
    """The evaluation range, newest first. A period of five minutes is minutes 1 to 5, a minute later 2 to 6."""
    windows = _windows(condition_of(alarm).evaluation_range, period_of(alarm), arrivals)
    if alarm.metric_data_queries:
        series = _calculated(alarm, arrivals, windows)
        return [Datapoint(begins, series.get(begins)) for begins, _, _ in windows]
    statistic, points = alarm.extended_statistic or alarm.statistic, []
    for begins, first, end in windows:
        samples = arrivals.between(metric_of(alarm), first, end)
        count = samples.statistic("SampleCount") or 0.0
        points.append(Datapoint(begins, samples.statistic(statistic) if count else None, count or None))
    return points


def has_too_few_samples(alarm: Any, recent: list[Datapoint]) -> bool:
    """Whether a percentile says too little, and the alarm is to wait for more."""
    if alarm.evaluate_low_sample_count_percentile != "ignore" or not alarm.extended_statistic:
        return False
    share = float(alarm.extended_statistic.removeprefix("p")) / 100
    tail = min(share, 1 - share)
    used = [point.sample_count for point in recent if point.sample_count][: int(alarm.evaluation_periods)]
    return bool(used) and sum(used) * tail < LOW_SAMPLE_COUNT


def period_of(alarm: Any) -> int:
    """Of a math alarm, the one that all its metrics have. Below a minute the lab has none."""
    queries = alarm.metric_data_queries
    asked = [one.period or (one.metric_stat and one.metric_stat.period) for one in queries] or [alarm.period]
    return max(MINUTE_SECONDS, *(int(period or 0) for period in asked))


def metric_of(alarm: Any) -> Metric:
    return Metric.of(alarm.namespace, alarm.metric_name, _pairs(alarm.dimensions), alarm.unit)


def _pairs(dimensions: list[Any]) -> list[dict[str, str]]:
    return [{"Name": one.name, "Value": one.value} for one in dimensions]


def _windows(number: int, period: int, arrivals: Arrivals) -> Windows:
    length, complete, now = period // MINUTE_SECONDS, arrivals.minutes.count, utcnow()
    ends = [complete - length * age for age in range(number)]
    minute = timedelta(seconds=arrivals.minutes.seconds)
    return [(now - minute * (complete - end + length), end - length, end) for end in ends]


def _calculated(alarm: Any, arrivals: Arrivals, windows: Windows) -> TimeSeries:
    """The series of the one query whose data the alarm looks at."""
    found: dict[str, TimeSeries] = {}
    for query in (one for one in alarm.metric_data_queries if one.metric_stat):
        found[query.id] = _series(query.metric_stat, arrivals, windows)
    for query in (one for one in alarm.metric_data_queries if one.expression):
        found[query.id] = evaluate(query.expression, found)
    shown = [one.id for one in alarm.metric_data_queries if str(one.return_data).lower() != "false"]
    return found[shown[-1]]


def _series(asked: Any, arrivals: Arrivals, windows: Windows) -> TimeSeries:
    named = asked.metric
    metric = Metric.of(named.namespace, named.metric_name, _pairs(named.dimensions), asked.unit)
    series: TimeSeries = {}
    for begins, first, end in windows:
        samples = arrivals.between(metric, first, end)
        if samples.statistic("SampleCount") and (value := samples.statistic(asked.stat)) is not None:
            series[begins] = value
    return series
