"""What RDS tells of an instance's past: its events, which it keeps for 14 days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasks import aws
from tasks.kinds import probe
from tasks.report import say

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

DAY = timedelta(days=1)
KEPT = timedelta(days=14)  # DescribeEvents in the RDS API reference


@dataclass(frozen=True)
class Event:
    at: datetime
    message: str

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC {self.message}"


@probe
def say_last_day(db_identifier: str) -> None:
    """One row per event of the last day, for whoever looks for what happened (P44)."""
    events = find_events(db_identifier, datetime.now(UTC) - DAY)
    say("| RDS event of the last day | at |")
    say("|---|---|")
    for event in events:
        say(f"| {event.message} | {event.at:%Y-%m-%d %H:%M:%S} UTC |")


def find_events(db_identifier: str, since: datetime) -> tuple[Event, ...]:
    """Oldest first. RDS sends them as well as it can: a missing one proves nothing."""
    client: RDSClient = aws.client("rds")
    pages = client.get_paginator("describe_events").paginate(
        SourceIdentifier=db_identifier,
        SourceType="db-instance",
        StartTime=max(since, datetime.now(UTC) - KEPT + timedelta(minutes=1)),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
    )
    found = [Event(one["Date"], one["Message"]) for page in pages for one in page["Events"]]
    return tuple(sorted(found, key=lambda event: event.at))


def tells_of_failover(events: Sequence[Event]) -> bool:
    return any("failover" in event.message.lower() for event in events)
