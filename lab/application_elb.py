"""The AWS/ApplicationELB metrics: what a load balancer counted, put into CloudWatch as AWS dimensions it."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

NAMESPACE = "AWS/ApplicationELB"
SIGNIFICANT_DIGITS = 3

Dimensions = list[dict[str, str]]
Datum = dict[str, Any]


class Recorder:
    """Gathers a load balancer's reports between two publications."""

    def __init__(self, minute: int = 0) -> None:
        self._minute = minute
        self._counts: Counter[tuple[str, str]] = Counter()
        self._response_times: dict[str, Counter[float]] = {}
        self._active_connections = 0

    def note(self, seen: dict[str, Any]) -> None:
        for name, group, count in seen["metrics"]["counts"]:
            self._counts[name, group] += count
        for group, times in seen["metrics"]["response_times"].items():
            samples = self._response_times.setdefault(group, Counter())
            samples.update(float(f"{seconds:.{SIGNIFICANT_DIGITS}g}") for seconds in times)
        self._active_connections = seen["active_connections"]

    def publish_once_a_minute(self, backend: Any, balancer: Any, minute: int) -> None:
        if minute == self._minute:
            return
        now = datetime.now(UTC).replace(tzinfo=None, second=0, microsecond=0)
        groups = [one for one in backend.target_groups.values() if balancer.arn in one.load_balancer_arns]
        data = [*self._traffic(balancer.arn), *self._hosts(balancer.arn, groups)]
        for datum in data:
            datum["Timestamp"] = now
        cloudwatch_backends[backend.account_id][backend.region_name].put_metric_data(NAMESPACE, data)
        self.__init__(minute)  # type: ignore[misc] # a fresh period

    def _traffic(self, balancer: str) -> Iterator[Datum]:
        totals: Counter[str] = Counter()
        for (name, group), count in self._counts.items():
            totals[name] += count
            if group:
                yield _datum(name, _dimensions(balancer, group), {1.0: count})
        for name, count in totals.items():
            yield _datum(name, _dimensions(balancer), {1.0: count})
        yield _datum("ActiveConnectionCount", _dimensions(balancer), {float(self._active_connections): 1})
        everything: Counter[float] = Counter()
        for group, samples in self._response_times.items():
            everything.update(samples)
            yield _datum("TargetResponseTime", _dimensions(balancer, group), samples, "Seconds")
        if everything:
            yield _datum("TargetResponseTime", _dimensions(balancer), everything, "Seconds")

    def _hosts(self, balancer: str, groups: list[Any]) -> Iterator[Datum]:
        for group in (one for one in groups if one.targets):  # "reported if there are registered targets"
            states = Counter(target.get("Health", ("initial",))[0] for target in group.targets.values())
            dimensions = _dimensions(balancer, group.arn)
            yield _datum("HealthyHostCount", dimensions, {float(states["healthy"]): 1})
            yield _datum("UnHealthyHostCount", dimensions, {float(states["unhealthy"]): 1})
            requests = self._counts["RequestCount", group.arn]
            if requests and states["healthy"]:
                share = {requests / states["healthy"]: 1}
                yield _datum("RequestCountPerTarget", dimensions, share)
                yield _datum("RequestCountPerTarget", dimensions[1:], share)


def _dimensions(balancer: str, group: str = "") -> Dimensions:
    dimensions = [{"Name": "LoadBalancer", "Value": balancer.split(":loadbalancer/")[1]}]
    if group:
        dimensions.append({"Name": "TargetGroup", "Value": group.rsplit(":", 1)[1]})
    return dimensions


def _datum(name: str, dimensions: Dimensions, samples: dict[float, int], unit: str = "Count") -> Datum:
    return {
        "MetricName": name,
        "Dimensions": dimensions,
        "Values": list(samples),
        "Counts": [float(count) for count in samples.values()],
        "Unit": unit,
    }
