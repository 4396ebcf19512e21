"""Cost Explorer: what an account has spent and will spend, answered from the history that a tool page is given.

`POST /lab/costs` with a history (`cost_history.py`) replaces the one before; a reset forgets it.
"""

import json
import statistics
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from moto.ce.responses import CostExplorerResponse

from lab.cost_history import CostHistory, Series
from lab.cost_query import Query, answer, first_of_next, invalid, period
from lab.extend import AWSError, operation
from lab.lab import Lab

REGION = "us-east-1"  # the only endpoint of Cost Explorer
FEWEST_DAYS = 28  # of history, for a forecast
METRICS = {"UNBLENDED_COST": "UnblendedCost", "AMORTIZED_COST": "AmortizedCost", "BLENDED_COST": "BlendedCost"}
NO_DATA = (
    "Data is not available. Please try to adjust the time period. If just enabled Cost Explorer, data might not be"
    " ingested yet"
)


class CostExplorer:
    def __init__(self, _lab: Lab) -> None:
        self.history = CostHistory()

    def install(self) -> None:
        for name, method in (
            ("GetCostAndUsage", self._get_cost_and_usage),
            ("GetCostForecast", self._get_cost_forecast),
            ("GetAnomalyMonitors", lambda _: {"AnomalyMonitors": self.history.monitors}),
            ("GetAnomalies", self._get_anomalies),
        ):
            operation(CostExplorerResponse, name)(self._guarded(method))

    def tick(self) -> None:
        """A history changes only when it is told."""

    def reset(self) -> None:
        self.history = CostHistory()

    def add(self, series: list[Series]) -> dict[str, int]:
        self.history.series.extend(series)
        return {"series": len(self.history.series)}

    def tell(self, told: Mapping[str, Any]) -> dict[str, int]:
        self.history = CostHistory.read(told)
        return {"series": len(self.history.series)}

    def _guarded(self, method: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def guarded(responses: Any) -> Any:
            if responses.region != REGION:
                raise AWSError("InvalidSignatureException", "Credential should be scoped to a valid region.")
            if not self.history.enabled:
                raise AWSError("AccessDeniedException", "User not enabled for cost explorer access")
            return method(json.loads(responses.body or "{}"))

        return guarded

    def _get_cost_and_usage(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        query = Query.read(asked)
        first = self.history.first_day
        if first is None or query.end <= first:
            raise AWSError("DataUnavailableException", NO_DATA)
        return answer(self.history, query)

    def _get_cost_forecast(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The mean of the last four weeks, and their spread: the lab knows no better one, and AWS tells not its own."""
        start, end = (date.fromisoformat(asked["TimePeriod"][name][:10]) for name in ("Start", "End"))
        if start >= end:
            raise invalid("Start date (and hour) should be before end date (and hour)")
        if asked["Metric"] not in METRICS:
            raise invalid(f"The metric {asked['Metric']} is not offered by this lab.")
        days = self._recent_days(METRICS[asked["Metric"]], start)
        level = int(asked.get("PredictionIntervalLevel", 80)) / 100
        reach = statistics.NormalDist().inv_cdf(0.5 + level / 2) * statistics.pstdev(days)
        results, begin = [], start
        while begin < end:
            stop = min(first_of_next(begin) if asked["Granularity"] == "MONTHLY" else begin + timedelta(1), end)
            results.append(_forecast(period(begin, stop), (stop - begin).days, statistics.fmean(days), reach))
            begin = stop
        total = sum(float(one["MeanValue"]) for one in results)
        return {"Total": {"Amount": f"{total:.10f}", "Unit": "USD"}, "ForecastResultsByTime": results}

    def _recent_days(self, metric: str, until: date) -> list[float]:
        first = self.history.first_day
        if first is None or (until - first).days < FEWEST_DAYS:
            raise AWSError("DataUnavailableException", "Insufficient amount of historical data to generate forecast.")
        days = [until - timedelta(n) for n in range(FEWEST_DAYS, 0, -1)]
        return [
            sum(one.between(metric, day, day + timedelta(1)) or 0 for one in self.history.series) / 1e10 for day in days
        ]

    def _get_anomalies(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        start = asked["DateInterval"]["StartDate"]
        end = asked["DateInterval"].get("EndDate", "9999")
        found = [one for one in self.history.anomalies if start <= one["AnomalyStartDate"] <= end]
        return {"Anomalies": found}


def _forecast(when: dict[str, str], days: int, mean: float, reach: float) -> dict[str, Any]:
    return {
        "TimePeriod": when,
        "MeanValue": f"{mean * days:.10f}",
        "PredictionIntervalLowerBound": f"{max(mean * days - reach * days**0.5, 0):.10f}",
        "PredictionIntervalUpperBound": f"{mean * days + reach * days**0.5:.10f}",
    }
