"""CloudWatch Logs: real filter patterns, Insights queries that take their time, metric filters that emit metrics."""

import base64
import binascii
import json
from typing import Any

from moto.logs import models
from moto.logs.responses import LogsResponse

from lab import log_metrics
from lab.extend import AWSError, Method, around, operation
from lab.insights_queries import InsightsQueries
from lab.lab import Lab
from lab.log_metrics import pattern_of

MOST_EVENTS = 10_000
BATCH_HOURS = 24
BATCH_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26


class Logs:
    def __init__(self, lab: Lab) -> None:
        self._queries = InsightsQueries(lab)

    def install(self) -> None:
        models.EventMessageFilter = pattern_of  # what live tail still uses
        operation(LogsResponse, "FilterLogEvents")(filter_log_events)
        around(LogsResponse, "put_log_events")(put_log_events)
        log_metrics.install()
        self._queries.install()

    def tick(self) -> None:
        self._queries.tick()

    def reset(self) -> None:
        """Nothing real belongs to CloudWatch Logs; a query under way ends by itself."""


def find_group(responses: Any) -> Any:
    """The log group that a request names, by `logGroupName` or `logGroupIdentifier` (a name or an ARN)."""
    name, identifier = responses._get_param("logGroupName"), responses._get_param("logGroupIdentifier")
    if bool(name) == bool(identifier):
        message = "Exactly one of logGroupName and logGroupIdentifier must be given."
        raise AWSError("InvalidParameterException", message)
    wanted = name or identifier.split(":log-group:")[-1].removesuffix(":*")
    if group := responses.logs_backend.groups.get(wanted):
        return group
    raise AWSError("ResourceNotFoundException", "The specified log group does not exist.")


def filter_log_events(self: Any) -> dict[str, Any]:
    group, pattern = find_group(self), pattern_of(self._get_param("filterPattern"))
    start, end = self._get_param("startTime") or 0, self._get_param("endTime")
    limit = self._get_param("limit") or MOST_EVENTS
    if not 1 <= limit <= MOST_EVENTS:
        raise AWSError("InvalidParameterException", f"limit must be from 1 to {MOST_EVENTS}, not {limit}")
    if end is not None and start > end:
        raise AWSError("InvalidParameterException", "startTime must not be after endTime")
    behind = _position(self._get_param("nextToken"))
    found = sorted(
        (place, event, stream)
        for stream in _streams(self, group)
        for event in stream.events
        if start <= event.timestamp
        and (end is None or event.timestamp <= end)
        and (place := (event.timestamp, event.event_id)) > behind
        and pattern.matches(event.message)
    )
    answer: dict[str, Any] = {
        "events": [
            event.to_filter_dict() | {"logStreamName": stream.log_stream_name} for _, event, stream in found[:limit]
        ],
        "searchedLogStreams": [],
    }
    return answer | ({"nextToken": _token(found[limit - 1][0])} if len(found) > limit else {})


def _streams(self: Any, group: Any) -> list[Any]:
    names, prefix = self._get_param("logStreamNames"), self._get_param("logStreamNamePrefix")
    if names and prefix:
        message = "logStreamNames and logStreamNamePrefix cannot be given together."
        raise AWSError("InvalidParameterException", message)
    if any(name not in group.streams for name in names or []):
        raise AWSError("ResourceNotFoundException", "The specified log stream does not exist.")
    return [s for name, s in group.streams.items() if (not names or name in names) and name.startswith(prefix or "")]


def _token(place: tuple[int, int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _position(token: str | None) -> tuple[int, int]:
    """Behind which event the page begins. Events that arrive between two pages neither shift nor repeat others."""
    if not token:
        return (-1, -1)
    try:
        timestamp, number = json.loads(base64.urlsafe_b64decode(token))
        return (int(timestamp), int(number))
    except (ValueError, TypeError, binascii.Error) as error:
        raise AWSError("InvalidParameterException", "The specified nextToken is invalid.") from error


def put_log_events(original: Method, self: Any) -> Any:
    """Refuse the batches that AWS refuses; moto takes any."""
    events = self._get_param("logEvents")
    if len(events) > MOST_EVENTS:
        message = f"A batch holds at most {MOST_EVENTS} log events, not {len(events)}."
        raise AWSError("InvalidParameterException", message)
    size = sum(len(event["message"].encode()) + EVENT_OVERHEAD_BYTES for event in events)
    if size > BATCH_BYTES:
        message = f"Upload too large: {size} bytes exceeds limit of {BATCH_BYTES}"
        raise AWSError("InvalidParameterException", message)
    if events and events[-1]["timestamp"] - events[0]["timestamp"] > BATCH_HOURS * 3_600_000:
        message = f"The batch of log events in a single PutLogEvents request cannot span more than {BATCH_HOURS} hours."
        raise AWSError("InvalidParameterException", message)
    return original(self)
