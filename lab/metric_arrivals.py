"""CloudWatch's samples by the minute of AWS's in which they came in: what alarms look at.

`lab.metric_series` answers what clients ask for, by the time that the samples tell of: on the lab's clock many of AWS's
minutes lie within one of those.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.clock import Minutes
from lab.metric_series import Metric, Samples, naive_utc

# The newest ones of each metric: hours of one that is sent every minute, days of one that is sent twice a day.
MINUTES_KEPT = 180
FORGOTTEN_AFTER_MINUTES = 3 * 24 * 60
# A sample that tells of earlier says nothing of now: an import of old data raises no alarm.
OLDEST_NEWS = timedelta(minutes=5)

Ring = dict[int, Samples]


class Arrivals:
    """Every metric of one account and region."""

    def __init__(self, minutes: Minutes) -> None:
        self.minutes = minutes
        self._rings: dict[Metric, dict[str | None, Ring]] = {}

    def add(self, metric: Metric, datum: dict[str, Any]) -> None:
        told = datum.get("Timestamp")
        if told and naive_utc(told) < datetime.now(UTC).replace(tzinfo=None) - OLDEST_NEWS:
            return
        ring = self._rings.setdefault(replace(metric, unit=None), {}).setdefault(metric.unit, {})
        ring.setdefault(self.minutes.count, Samples()).add(datum)
        if len(ring) > MINUTES_KEPT:
            del ring[next(iter(ring))]

    def between(self, query: Metric, first: int, end: int) -> Samples:
        """What came in from minute `first` on and before `end`; a query without a unit means any."""
        found = Samples()
        for unit, ring in self._rings.get(replace(query, unit=None), {}).items():
            if query.unit in (None, unit):
                for minute, samples in ring.items():
                    if first <= minute < end:
                        found.merge(samples)
        return found

    def forget_old(self) -> None:
        horizon = self.minutes.count - FORGOTTEN_AFTER_MINUTES
        for metric, units in list(self._rings.items()):
            if all(max(ring) < horizon for ring in units.values()):
                del self._rings[metric]
