"""StartQuery and its kin: a query is Scheduled, Running and Complete on AWS's clock, and is really run."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from moto.logs.models import logs_backends
from moto.logs.responses import LogsResponse

from lab.extend import AWSError, operation
from lab.insights import MOST_ROWS, Event, Query, compile_query
from lab.insights_tokens import BadQuery
from lab.lab import Lab

# What small queries take on AWS: longer than an impatient script waits.
SCHEDULED_SECONDS = 1.0
RUNNING_SECONDS = 4.0
FIRST_MILLISECOND_STAMP = 100_000_000_000


@dataclass
class InsightsQuery:
    """One started query, kept in `logs_backend.queries`; `status` and `to_json` are what moto reads."""

    query_id: str
    text: str
    compiled: Query
    log_group_names: list[str]
    start: int
    end: int
    limit: int
    due: float
    status: str = "Scheduled"
    create_time: float = field(default_factory=time.time)
    rows: list[dict[str, str]] | None = None
    statistics: dict[str, float] = field(
        default_factory=lambda: {"recordsMatched": 0.0, "recordsScanned": 0.0, "bytesScanned": 0.0}
    )

    def to_json(self, log_group_name: str) -> dict[str, Any]:
        return {
            "queryId": self.query_id,
            "queryString": self.text,
            "status": self.status,
            "createTime": int(self.create_time * 1000),
            "logGroupName": log_group_name,
        }


class InsightsQueries:
    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def install(self) -> None:
        operation(LogsResponse, "StartQuery")(self._start)
        operation(LogsResponse, "GetQueryResults")(get_query_results)
        operation(LogsResponse, "StopQuery")(stop_query)
        operation(LogsResponse, "PutQueryDefinition")(put_query_definition)
        operation(LogsResponse, "DescribeQueryDefinitions")(describe_query_definitions)
        operation(LogsResponse, "DeleteQueryDefinition")(delete_query_definition)

    def tick(self) -> None:
        for _, _, backend in logs_backends.iter_backends():
            for query in backend.queries.values():
                self._advance(backend, query)

    def _advance(self, backend: Any, query: InsightsQuery) -> None:
        if query.status not in ("Scheduled", "Running") or time.monotonic() < query.due:
            return
        if query.status == "Scheduled":
            query.status, query.due = "Running", self._lab.clock.deadline(RUNNING_SECONDS)
            self._lab.work(self._run, query, events_of(backend, query))
        elif query.rows is not None:
            query.status = "Complete"

    def _run(self, query: InsightsQuery, events: list[Event]) -> None:
        try:
            rows = query.compiled.run(events, query.limit)
        except Exception:
            query.status = "Failed"
            raise
        with self._lab.lock:
            query.rows = rows
            query.statistics = {
                "recordsMatched": float(query.compiled.matched),
                "recordsScanned": float(len(events)),
                "bytesScanned": float(sum(len(event.message) for event in events)),
            }

    def _start(self, responses: Any) -> dict[str, Any]:
        start, end = (_milliseconds(responses._get_param(name)) for name in ("startTime", "endTime"))
        if start > end:
            raise AWSError("InvalidParameterException", "End time should not be before start time.")
        limit = responses._get_param("limit") or MOST_ROWS
        if not 1 <= limit <= MOST_ROWS:
            raise AWSError("InvalidParameterException", f"limit must be from 1 to {MOST_ROWS}, not {limit}")
        names = _group_names(responses)
        text = responses._get_param("queryString")
        due = self._lab.clock.deadline(SCHEDULED_SECONDS)
        query = InsightsQuery(str(uuid.uuid4()), text, _compiled(text), names, start, end, limit, due)
        responses.logs_backend.queries[query.query_id] = query
        return {"queryId": query.query_id}


def _milliseconds(stamp: int) -> int:
    """The API takes seconds, and milliseconds too."""
    return stamp if stamp >= FIRST_MILLISECOND_STAMP else stamp * 1000


def _compiled(text: str) -> Query:
    try:
        return compile_query(text)
    except BadQuery as error:
        raise AWSError("MalformedQueryException", str(error)) from error


def _group_names(responses: Any) -> list[str]:
    one, names, identifiers = (
        responses._get_param(name) for name in ("logGroupName", "logGroupNames", "logGroupIdentifiers")
    )
    if sum(bool(given) for given in (one, names, identifiers)) != 1:
        message = "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be given."
        raise AWSError("InvalidParameterException", message)
    wanted = [one] if one else names or [text.split(":log-group:")[-1].removesuffix(":*") for text in identifiers]
    for name in wanted:
        if name not in responses.logs_backend.groups:
            account = responses.current_account
            message = f"Log group '{name}' does not exist for account ID '{account}'"
            raise AWSError("ResourceNotFoundException", message)
    return wanted


def events_of(backend: Any, query: InsightsQuery) -> list[Event]:
    return [
        Event(
            event.timestamp, event.message, stream.log_stream_name, f"{backend.account_id}:{name}", str(event.event_id)
        )
        for name in query.log_group_names
        if name in backend.groups
        for stream in backend.groups[name].streams.values()
        for event in stream.events
        # the end is a whole second, and that second belongs to the range
        if query.start <= event.timestamp < query.end + 1000
    ]


def _find(responses: Any) -> InsightsQuery:
    query: InsightsQuery | None = responses.logs_backend.queries.get(responses._get_param("queryId"))
    if query is None:
        raise AWSError("ResourceNotFoundException", "The specified query does not exist.")
    return query


def get_query_results(self: Any) -> dict[str, Any]:
    query = _find(self)
    rows = query.rows if query.status == "Complete" and query.rows else []
    return {
        "queryLanguage": "CWLI",
        "results": [[{"field": name, "value": value} for name, value in row.items()] for row in rows],
        "statistics": query.statistics,
        "status": query.status,
    }


def stop_query(self: Any) -> dict[str, Any]:
    query = _find(self)
    if query.status not in ("Scheduled", "Running"):
        message = f"Query {query.query_id} has ended with status {query.status} and cannot be stopped."
        raise AWSError("InvalidParameterException", message)
    query.status = "Cancelled"
    return {"success": True}


def _definitions(self: Any) -> dict[str, dict[str, Any]]:
    """Saved queries, in an attribute of moto's logs backend that a reset drops with the rest."""
    found: dict[str, dict[str, Any]] = vars(self.logs_backend).setdefault("query_definitions", {})
    return found


def put_query_definition(self: Any) -> dict[str, Any]:
    known, key = _definitions(self), self._get_param("queryDefinitionId") or str(uuid.uuid4())
    if self._get_param("queryDefinitionId") and key not in known:
        raise AWSError("ResourceNotFoundException", f"No query definition found for id {key}")
    known[key] = {
        "queryDefinitionId": key,
        "name": self._get_param("name"),
        "queryString": self._get_param("queryString"),
        "queryLanguage": self._get_param("queryLanguage") or "CWLI",
        "logGroupNames": self._get_param("logGroupNames") or [],
        "lastModified": int(time.time() * 1000),
    }
    return {"queryDefinitionId": key}


def describe_query_definitions(self: Any) -> dict[str, Any]:
    prefix, limit = self._get_param("queryDefinitionNamePrefix") or "", self._get_param("maxResults") or 1000
    found = sorted((d for d in _definitions(self).values() if d["name"].startswith(prefix)), key=lambda d: d["name"])
    skip = int(self._get_param("nextToken") or 0)
    answer: dict[str, Any] = {"queryDefinitions": found[skip : skip + limit]}
    return answer | ({"nextToken": str(skip + limit)} if len(found) > skip + limit else {})


def delete_query_definition(self: Any) -> dict[str, Any]:
    if _definitions(self).pop(self._get_param("queryDefinitionId"), None) is None:
        raise AWSError("ResourceNotFoundException", "The specified query definition does not exist.")
    return {"success": True}
