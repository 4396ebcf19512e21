"""What is left of the availability that users were promised, and how fast it burns: from the load balancer's metrics.

A request has failed when a target or the load balancer itself answered 5xx (D15). Burning at 1 spends the budget of 30
days in just 30 days.

Source: the multiwindow, multi-burn-rate alerts of the SRE Workbook, chapter 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks import aws

SLO = 0.999  # "Availability: 99.9 % per month", the runbook
PERIOD = timedelta(days=30)
FINE, COARSE = timedelta(minutes=5), timedelta(hours=1)
# A rate that counts, the window that shows it, and the shorter one that shows that it still goes on.
PAGES = (
    (14.4, timedelta(hours=1), timedelta(minutes=5)),
    (6.0, timedelta(hours=6), timedelta(minutes=30)),
)
TICKETS = ((1.0, timedelta(days=3), timedelta(hours=6)),)
# Where few come, one failed request is a large share of them and says nothing.
FEWEST_FAILED = 10
LOW = 0.25
METRICS = {
    "requests": "RequestCount",
    "target": "HTTPCode_Target_5XX_Count",
    "balancer": "HTTPCode_ELB_5XX_Count",
}


@dataclass(frozen=True)
class Served:
    """Requests within one window, and those of them that failed."""

    requests: float
    failed: float

    @property
    def burn(self) -> float:
        if self.failed < FEWEST_FAILED:
            return 0.0
        return self.failed / max(self.requests, self.failed) / (1 - SLO)


@dataclass(frozen=True)
class Budget:
    """What was served within each window up to now; `PERIOD` is the whole of it."""

    windows: Mapping[timedelta, Served]

    @property
    def left(self) -> float:
        """1 is untouched, 0 or less is spent."""
        return 1 - self.windows[PERIOD].burn

    @property
    def is_used(self) -> bool:
        return self.windows[PERIOD].requests > 0

    def burning(self, rates: tuple[tuple[float, timedelta, timedelta], ...]) -> tuple[float, timedelta] | None:
        """The first rate that both of its windows exceed, as (how fast it burns, in which window)."""
        for rate, long, short in rates:
            if min(self.windows[long].burn, self.windows[short].burn) > rate:
                return self.windows[long].burn, long
        return None

    def __str__(self) -> str:
        month = self.windows[PERIOD]
        return (
            f"{100 * self.left:.0f} % of the error budget is left: {month.failed:.0f} of {month.requests:.0f} requests"
            f" failed in {PERIOD.days} days, {100 * SLO:g} % are to succeed"
        )


def read_budget(alb_arn: str, now: datetime) -> Budget:
    """RequestCount counts a request for which a target was chosen; the load balancer's own errors are added to it."""
    long = max(window for _, window, _ in PAGES)
    windows = {window for rates in (PAGES, TICKETS) for _, *both in rates for window in both} | {PERIOD}
    fine, coarse = _read(alb_arn, now, long, FINE), _read(alb_arn, now, PERIOD, COARSE)
    return Budget({window: _sum(fine if window <= long else coarse, now - window) for window in windows})


Counts = Mapping[str, Mapping[datetime, float]]


def _read(alb_arn: str, now: datetime, back: timedelta, period: timedelta) -> Counts:
    """Asked by periods that AWS keeps for so long, of which a month is one page."""
    queries = [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/ApplicationELB",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "LoadBalancer", "Value": alb_arn.partition(":loadbalancer/")[2]}],
                },
                "Period": int(period.total_seconds()),
                "Stat": "Sum",
            },
        }
        for name, metric in METRICS.items()
    ]
    pages = aws.client("cloudwatch").get_paginator("get_metric_data")
    found: dict[str, dict[datetime, float]] = {name: {} for name in METRICS}
    for page in pages.paginate(MetricDataQueries=queries, StartTime=now - back - period, EndTime=now):
        for one in page["MetricDataResults"]:
            found[one["Id"]] |= {
                at.astimezone(UTC) + period: value for at, value in zip(one["Timestamps"], one["Values"], strict=True)
            }
    return found


def _sum(counts: Counts, since: datetime) -> Served:
    """Periods that ended since then: the one that is cut off counts as a whole."""
    total = {name: sum(value for ended, value in by.items() if ended > since) for name, by in counts.items()}
    return Served(total["requests"] + total["balancer"], total["target"] + total["balancer"])
