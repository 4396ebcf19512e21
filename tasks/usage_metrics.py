"""How much of what is paid for was used, over two weeks of CloudWatch metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks import aws

DAYS = 14
FEWEST_DAYS = 13  # with fewer nothing is said: a quiet week may be a holiday
PERIOD_SECONDS = 3600
IDLE_PERCENT = 35  # who was never busier than this has half to spare


@dataclass(frozen=True)
class Usage:
    """Hourly values of a metric by their time, and over how many days they lie."""

    by_hour: Mapping[datetime, float]

    @property
    def days(self) -> float:
        return (max(self.by_hour) - min(self.by_hour)) / timedelta(days=1) if self.by_hour else 0.0

    @property
    def is_known(self) -> bool:
        return self.days >= FEWEST_DAYS

    @property
    def highest(self) -> float:
        return max(self.by_hour.values())

    @property
    def lowest(self) -> float:
        return min(self.by_hour.values())

    @property
    def total(self) -> float:
        return sum(self.by_hour.values())

    def during(self, counts: Callable[[datetime], bool]) -> float:
        """The sum of the values at times, in UTC, that count."""
        return sum(value for at, value in self.by_hour.items() if counts(at.astimezone(UTC)))


def read(namespace: str, metric: str, stat: str, dimensions: Mapping[str, str]) -> Usage:
    """Unknown is not idle: a metric without values is no usage that could be judged."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    asked = {
        "Id": "used",
        "MetricStat": {
            "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": _listed(dimensions)},
            "Period": PERIOD_SECONDS,
            "Stat": stat,
        },
    }
    pages = (
        aws.client("cloudwatch")
        .get_paginator("get_metric_data")
        .paginate(
            MetricDataQueries=[asked], StartTime=end - timedelta(days=DAYS), EndTime=end, ScanBy="TimestampAscending"
        )
    )
    found = [one for page in pages for one in page["MetricDataResults"]]
    return Usage({at: value for one in found for at, value in zip(one["Timestamps"], one["Values"], strict=True)})


def _listed(dimensions: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]
