"""Incidents of an environment, kept beside its outputs: what is wrong, since when, who has it, and who was told."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tasks import aws
from tasks.environment import parameter_name
from tasks.on_call import Priority

FOLDER = "incident"


@dataclass(frozen=True)
class Incident:
    """Times are ISO 8601; empty: not yet."""

    id: str
    environment: str
    priority: Priority
    title: str
    began_at: str
    acknowledged_at: str = ""
    acknowledged_by: str = ""
    resolved_at: str = ""
    resolved_by: str = ""

    @property
    def began(self) -> datetime:
        return datetime.fromisoformat(self.began_at)

    @property
    def is_open(self) -> bool:
        return not self.resolved_at

    def __str__(self) -> str:
        has = f"{self.acknowledged_by} has it" if self.acknowledged_at else "nobody has it"
        return f"{self.priority} incident {self.id}, {self.title}, since {self.began:%Y-%m-%d %H:%M} UTC, {has}"


def find_open(environment: str) -> tuple[Incident, ...]:
    """Oldest first."""
    pages = aws.client("ssm").get_paginator("get_parameters_by_path")
    found = [
        _read(parameter["Value"])
        for page in pages.paginate(Path=parameter_name(environment, FOLDER))
        for parameter in page["Parameters"]
    ]
    return tuple(sorted((one for one in found if one.is_open), key=lambda one: one.began))


def find(environment: str, incident_id: str) -> Incident | None:
    ssm = aws.client("ssm")
    try:
        found = ssm.get_parameter(Name=_name(environment, incident_id))
    except ssm.exceptions.ParameterNotFound:
        return None
    return _read(str(found["Parameter"]["Value"]))


def keep(incident: Incident, **changes: Any) -> Incident:
    """As it is now; SSM keeps its last hundred versions, which is the trail."""
    now = replace(incident, **changes)
    aws.client("ssm").put_parameter(
        Name=_name(now.environment, now.id), Value=json.dumps(asdict(now)), Type="String", Overwrite=True
    )
    return now


def find_told(incident: Incident) -> dict[str, str]:
    """Which steps of the escalation were taken, and when: each in a place of its own, so that no answer is lost."""
    pages = aws.client("ssm").get_paginator("get_parameters_by_path")
    path = parameter_name(incident.environment, f"{FOLDER}/{incident.id}/told")
    return {
        parameter["Name"].rpartition("/")[2]: parameter["Value"]
        for page in pages.paginate(Path=path)
        for parameter in page["Parameters"]
    }


def remember_told(incident: Incident, step: str, said: str) -> None:
    name = parameter_name(incident.environment, f"{FOLDER}/{incident.id}/told/{step}")
    aws.client("ssm").put_parameter(Name=name, Value=said, Type="String", Overwrite=True)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _name(environment: str, incident_id: str) -> str:
    return parameter_name(environment, f"{FOLDER}/{incident_id}")


def _read(text: str) -> Incident:
    return Incident(**json.loads(text))
