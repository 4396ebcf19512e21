"""Scaling activities: what a group did, why, and how far it has come. The wording is AWS's."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lab.extend import AWSError

PAGE = 100


def now_utc() -> datetime:
    return datetime.now(UTC)


def stamp() -> str:
    return now_utc().strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Activity:
    group: Any
    description: str
    cause: str
    status_code: str = "InProgress"
    progress: int = 0
    status_message: str | None = None
    details: dict[str, str] = field(default_factory=dict)
    activity_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    start_time: datetime = field(default_factory=now_utc)
    end_time: datetime | None = None
    ended_at: float | None = None  # in AWS seconds, for the cooldown

    def move_to(self, status_code: str, progress: int) -> None:
        self.status_code, self.progress = status_code, progress

    def end(self, now: float, status_code: str = "Successful", message: str | None = None) -> None:
        self.move_to(status_code, 100)
        self.status_message, self.end_time, self.ended_at = message, now_utc(), now

    def as_answer(self) -> dict[str, Any]:
        answer = {
            "ActivityId": self.activity_id,
            "AutoScalingGroupName": self.group.name,
            "AutoScalingGroupARN": self.group.arn,
            "AutoScalingGroupState": "Deleted" if self.group.facts.deleted else None,
            "Description": self.description,
            "Cause": self.cause[:1023],
            "StartTime": self.start_time,
            "EndTime": self.end_time,
            "StatusCode": self.status_code,
            "StatusMessage": self.status_message and self.status_message[:255],
            "Progress": self.progress,
            "Details": json.dumps(self.details),
        }
        return {name: value for name, value in answer.items() if value is not None}


def all_activities(backend: Any) -> list[Activity]:
    """Every activity of the region, oldest first. Kept on moto's backend, so that a reset forgets them."""
    kept: list[Activity] = backend.__dict__.setdefault("scaling_activities", [])
    return kept


def record(group: Any, description: str, cause: str, **details: str) -> Activity:
    activity = Activity(group, description, cause, details=details)
    all_activities(group.autoscaling_backend).append(activity)
    return activity


def latest(group: Any) -> Activity | None:
    mine = (one for one in reversed(all_activities(group.autoscaling_backend)) if one.group is group)
    return next(mine, None)


def describe(
    backend: Any, name: str | None, ids: list[str], deleted: bool, token: str | None, limit: int
) -> dict[str, Any]:
    """A page of activities: those in progress first, then the newest."""
    found = [
        one
        for one in reversed(all_activities(backend))
        if (not name or one.group.name == name)
        and (not ids or one.activity_id in ids)
        and (deleted or not one.group.facts.deleted)
    ]
    found.sort(key=lambda one: one.end_time is not None)
    start = read_token(token)
    page: dict[str, Any] = {"Activities": [one.as_answer() for one in found[start : start + limit]]}
    if len(found) > start + limit:
        page["NextToken"] = str(start + limit)
    return page


def read_token(token: str | None) -> int:
    if token and not token.isdigit():
        raise AWSError("InvalidNextToken", "The NextToken value is not valid.")
    return int(token or 0)
