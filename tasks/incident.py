"""Incidents of an environment, kept beside its outputs: what is wrong, since when, who has it, and who was told."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tasks.environment import find_parameter, keep_parameter, read_parameters
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
    found = map(_read, read_parameters(environment, FOLDER).values())
    return tuple(sorted((one for one in found if one.is_open), key=lambda one: one.began))


def find(environment: str, incident_id: str) -> Incident | None:
    found = find_parameter(environment, f"{FOLDER}/{incident_id}")
    return _read(found) if found else None


def keep(incident: Incident, **changes: Any) -> Incident:
    """As it is now; SSM keeps its last hundred versions, which is the trail."""
    now = replace(incident, **changes)
    keep_parameter(now.environment, f"{FOLDER}/{now.id}", json.dumps(asdict(now)))
    return now


def find_told(incident: Incident) -> dict[str, str]:
    """Which steps of the escalation were taken, and when: each in a place of its own, so that no answer is lost."""
    return read_parameters(incident.environment, _told(incident))


def remember_told(incident: Incident, step: str, said: str) -> None:
    keep_parameter(incident.environment, f"{_told(incident)}/{step}", said)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _told(incident: Incident) -> str:
    return f"{FOLDER}/{incident.id}/told"


def _read(text: str) -> Incident:
    return Incident(**json.loads(text))
