"""A GetCostAndUsage request over a history: checked as Cost Explorer checks it, filtered, grouped and cut in pages."""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from lab.cost_filter import holds, key_of
from lab.cost_history import ALIKE, METRICS, CostHistory, Series, show, tomorrow
from lab.extend import AWSError

MOST_GROUPINGS = 2
MONTHS_KEPT = 14  # unless an account asks for more
Sums = dict[tuple[str, ...], dict[str, tuple[int, str]]]


@dataclass(frozen=True)
class Query:
    start: date
    end: date
    monthly: bool
    metrics: tuple[str, ...]
    groupings: tuple[tuple[str, str], ...]
    condition: Mapping[str, Any]
    offset: int
    fingerprint: str

    @classmethod
    def read(cls, asked: Mapping[str, Any]) -> "Query":
        start, end = (date.fromisoformat(asked["TimePeriod"][name][:10]) for name in ("Start", "End"))
        require_period(start, end)
        groupings = tuple((one["Type"], one["Key"]) for one in asked.get("GroupBy", ()))
        if len(groupings) > MOST_GROUPINGS:
            raise invalid("The number of groups in GroupBy cannot exceed 2.")
        metrics = tuple(_metric(name) for name in asked["Metrics"])
        if asked["Granularity"] not in ("DAILY", "MONTHLY"):
            raise invalid(f"Granularity {asked['Granularity']} is not offered by this lab.")
        rest = {name: value for name, value in asked.items() if name != "NextPageToken"}
        fingerprint = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]
        offset = _offset(asked.get("NextPageToken"), fingerprint)
        monthly = asked["Granularity"] == "MONTHLY"
        return cls(start, end, monthly, metrics, groupings, asked.get("Filter") or {}, offset, fingerprint)

    def periods(self) -> Iterator[tuple[date, date]]:
        begin = self.start
        while begin < self.end:
            step = first_of_next(begin) if self.monthly else begin + timedelta(days=1)
            yield begin, min(step, self.end)
            begin = step


def answer(history: CostHistory, query: Query) -> dict[str, Any]:
    series = [one for one in history.series if holds(history, query.condition, one)]
    keys = [tuple(key_of(history, one, *grouping) for grouping in query.groupings) for one in series]
    results: list[dict[str, Any]] = []
    seen, left = 0, history.page_groups
    for start, end in query.periods():
        sums = _sums(query, series, keys, start, end)
        groups = [] if not query.groupings else [_group(key, sums[key]) for key in sorted(sums)]
        skipped = max(query.offset - seen, 0)
        seen += len(groups)
        page = groups[skipped : skipped + left]
        if groups and not page:
            continue
        left -= len(page)
        total = {} if query.groupings else _total(query, sums.get((), {}))
        results.append(
            {"TimePeriod": period(start, end), "Total": total, "Groups": page, "Estimated": end > history.final_until}
        )
    found: dict[str, Any] = {"ResultsByTime": results, "DimensionValueAttributes": []}
    if query.groupings:
        found["GroupDefinitions"] = [{"Type": kind, "Key": key} for kind, key in query.groupings]
    if seen > query.offset + history.page_groups:
        found["NextPageToken"] = _token(query.offset + history.page_groups, query.fingerprint)
    return found


def _sums(query: Query, series: list[Series], keys: list[tuple[str, ...]], start: date, end: date) -> Sums:
    """Amount and unit by group and metric; a unit that differs within a group is N/A."""
    sums: Sums = defaultdict(dict)
    for one, key in zip(series, keys, strict=True):
        for metric in query.metrics:
            amount = one.between(metric, start, end)
            if amount is None:
                break
            before, unit = sums[key].get(metric, (0, one.unit_of(metric)))
            sums[key][metric] = (before + amount, unit if unit == one.unit_of(metric) else "N/A")
    return dict(sums)


def _group(key: tuple[str, ...], sums: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    return {"Keys": list(key), "Metrics": {name: _amount(*found) for name, found in sums.items()}}


def _total(query: Query, sums: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    nothing = {name: (0, "N/A" if name == "UsageQuantity" else "USD") for name in query.metrics}
    return {name: _amount(*sums.get(name, nothing[name])) for name in query.metrics}


def _amount(amount: int, unit: str) -> dict[str, str]:
    return {"Amount": show(amount), "Unit": unit}


def _metric(name: str) -> str:
    if name not in METRICS and name not in ALIKE:
        raise invalid(f"Invalid metric {name}, expected one of {', '.join(METRICS)}.")
    return name


def _token(offset: int, fingerprint: str) -> str:
    return base64.b64encode(f"{offset}:{fingerprint}".encode()).decode()


def _offset(token: str | None, fingerprint: str) -> int:
    if token is None:
        return 0
    try:
        offset, _, of = base64.b64decode(token, validate=True).decode().partition(":")
        number = int(offset)
    except ValueError as error:
        raise AWSError("InvalidNextTokenException", "Invalid pagination token.") from error
    if of != fingerprint:
        raise AWSError("RequestChangedException", "Request has been changed between pages.")
    return number


def require_period(start: date, end: date) -> None:
    if start >= end:
        raise invalid("Start date (and hour) should be before end date (and hour)")
    if end > first_of_next(tomorrow()):
        raise invalid("end date past the beginning of next month")
    oldest = tomorrow().replace(day=1)
    for _ in range(MONTHS_KEPT):
        oldest = (oldest - timedelta(days=1)).replace(day=1)
    if start < oldest:
        raise invalid("You haven't enabled historical data beyond 14 months")


def first_of_next(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def period(start: date, end: date) -> dict[str, str]:
    return {"Start": start.isoformat(), "End": end.isoformat()}


def invalid(message: str) -> AWSError:
    return AWSError("ValidationException", message)
