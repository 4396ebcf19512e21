"""CloudWatch's samples, kept as "value, how often" per minute: right percentiles in little memory."""

import math
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100(?:\.0*)?)")
KEPT_SECONDS = 3 * 3600.0  # after their arrival, whatever time they tell of


@dataclass(slots=True)
class Samples:
    """What arrived for one metric in one period: single values, and statistic sets (sum, min, max, count)."""

    values: Counter[float] = field(default_factory=Counter)
    sets: list[tuple[float, float, float, float]] = field(default_factory=list)
    arrived: float = 0.0

    def add(self, datum: dict[str, Any]) -> None:
        if values := datum.get("Values"):
            counts = datum.get("Counts") or [1] * len(values)
            for value, count in zip(values, counts, strict=True):
                self.values[float(value)] += int(float(count))
        elif one := datum.get("StatisticValues"):
            numbers = (float(one[name]) for name in ("Sum", "Minimum", "Maximum", "SampleCount"))
            self.sets.append((*numbers,))  # type: ignore[arg-type] # four of them
        else:
            self.values[float(datum.get("Value", 0))] += 1

    def merge(self, other: "Samples") -> None:
        self.values.update(other.values)
        self.sets.extend(other.sets)

    def statistic(self, name: str) -> float | None:
        count = self.values.total() + sum(one[3] for one in self.sets)
        total = sum(v * n for v, n in self.values.items()) + sum(one[0] for one in self.sets)
        match name:
            case "SampleCount":
                return float(count)
            case "Sum":
                return total
            case "Average":
                return total / count if count else None
            case "Minimum":
                return min([*self.values, *(one[1] for one in self.sets)], default=None)
            case "Maximum":
                return max([*self.values, *(one[2] for one in self.sets)], default=None)
        return self._percentile(float(name.removeprefix("p")))

    def _percentile(self, share: float) -> float | None:
        """Of single values, and of sets that stand for one value. AWS has none for negative values."""
        values = Counter(self.values)
        for _, low, high, count in self.sets:
            if low != high:
                return None
            values[low] += int(count)
        if not values or min(values) < 0:
            return None
        rank, seen = max(1, math.ceil(share / 100 * values.total())), 0
        for value in sorted(values):
            seen += values[value]
            if seen >= rank:
                return value
        return None


def is_statistic(name: str) -> bool:
    return name in STATISTICS or is_percentile(name)


def is_percentile(name: str) -> bool:
    return PERCENTILE.fullmatch(name) is not None


@dataclass(frozen=True)
class Metric:
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str | None = None

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Iterable[dict[str, str]], unit: str | None) -> "Metric":
        pairs = sorted((one["Name"], one["Value"]) for one in dimensions)
        return cls(namespace, name, tuple(pairs), unit)

    def asked_by(self, query: "Metric") -> bool:
        """Dimensions must be the same ones, all of them; a query without a unit means any."""
        same = (self.namespace, self.name, self.dimensions) == (query.namespace, query.name, query.dimensions)
        return same and query.unit in (None, self.unit)


class Series(dict[Metric, dict[datetime, Samples]]):
    """Every metric of one account and region, by the time its samples tell of."""

    def add(self, metric: Metric, datum: dict[str, Any]) -> None:
        resolution = 1 if datum.get("StorageResolution") == 1 else 60
        moment = floor(naive_utc(datum.get("Timestamp") or datetime.now(UTC)), resolution)
        samples = self.setdefault(metric, {}).setdefault(moment, Samples())
        samples.arrived = time.monotonic()
        samples.add(datum)

    def between(
        self, query: Metric, start: datetime, end: datetime, period: int
    ) -> dict[str | None, dict[datetime, Samples]]:
        """By unit: the samples of each period that has any, counted from `start`."""
        found: dict[str | None, dict[datetime, Samples]] = {}
        for metric, moments in self.items():
            if not metric.asked_by(query):
                continue
            for moment, samples in moments.items():
                if start <= moment < end:
                    periods = int((moment - start).total_seconds() // period)
                    begins = start + timedelta(seconds=periods * period)
                    found.setdefault(metric.unit, {}).setdefault(begins, Samples()).merge(samples)
        return found

    def forget_old(self) -> None:
        horizon = time.monotonic() - KEPT_SECONDS
        for metric in list(self):
            self[metric] = {at: samples for at, samples in self[metric].items() if samples.arrived > horizon}
            if not self[metric]:
                del self[metric]


def naive_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def floor(moment: datetime, seconds: int) -> datetime:
    return moment - timedelta(seconds=moment.second % seconds, microseconds=moment.microsecond)
