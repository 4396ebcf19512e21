"""Amazon CloudWatch Logs: what the application says."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks import aws
from tasks.environment import Environment
from tasks.kinds import probe

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient

ERRORS = '{ $.level = "ERROR" }'
MOST_LINES = 20


@dataclass(frozen=True)
class LogLine:
    at: datetime
    stream: str
    message: str

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.stream} {self.message}"


@probe
def find_errors(environment: Environment, since: datetime) -> tuple[LogLine, ...]:
    """The newest error lines since then, oldest first."""
    logs: CloudWatchLogsClient = aws.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=environment.log_group_name,
        startTime=int(since.timestamp() * 1000),
        filterPattern=ERRORS,
    )
    found = [
        LogLine(datetime.fromtimestamp(e["timestamp"] / 1000, UTC), e["logStreamName"], e["message"].strip())
        for page in pages
        for e in page["events"]
    ]
    return tuple(sorted(found, key=lambda line: line.at)[-MOST_LINES:])
