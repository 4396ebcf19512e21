"""AWS CloudTrail: who changed what in this account."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks import aws
from tasks.kinds import probe

OURS = re.compile(r"runbook/(?P<procedure>[\w-]+)/(?P<run>[\w-]+)")


@dataclass(frozen=True)
class Call:
    """One call that changed something. `mentions` is every text among its parameters."""

    at: datetime
    name: str
    who: str
    agent: str
    mentions: frozenset[str]

    @property
    def run(self) -> str | None:
        """The run of this runbook that made it."""
        ours = OURS.search(self.agent)
        return f"{ours['procedure']} (run {ours['run']})" if ours else None

    def __str__(self) -> str:
        return f"{self.name} by {self.run or self.who} at {self.at:%Y-%m-%d %H:%M} UTC"


@probe
def list_changes(since: datetime) -> tuple[Call, ...]:
    """Every change since then, newest first. CloudTrail tells of one about five minutes later and for 90 days."""
    pages = aws.client("cloudtrail").get_paginator("lookup_events")
    found = pages.paginate(LookupAttributes=[{"AttributeKey": "ReadOnly", "AttributeValue": "false"}], StartTime=since)
    return tuple(_read(event) for page in found for event in page["Events"])


def latest_of(calls: Iterable[Call], names: frozenset[str]) -> Call | None:
    """The newest call that mentions one of these names."""
    return max((one for one in calls if one.mentions & names), key=lambda one: one.at, default=None)


def _read(event: Mapping[str, Any]) -> Call:
    record = json.loads(event["CloudTrailEvent"])
    texts = frozenset(_texts(record.get("requestParameters") or {}))
    who = event.get("Username") or record.get("userIdentity", {}).get("invokedBy", "unknown")
    return Call(event["EventTime"], event["EventName"], who, record.get("userAgent", ""), texts)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
