"""An incident climbs until somebody has it: each step of the path is taken when its time has come, and once (P94)."""

from datetime import datetime

from tasks import incident as incidents
from tasks import notification
from tasks.errors import PreconditionFailed
from tasks.incident import Incident
from tasks.kinds import action, probe
from tasks.notification import NotTold
from tasks.on_call import Priority, read_on_call


@probe
def find_open(environment: str) -> tuple[Incident, ...]:
    return incidents.find_open(environment)


@probe
def find_incident(environment: str, incident_id: str) -> Incident:
    """
    Raises:
        PreconditionFailed: there is none of that name.
    """
    found = incidents.find(environment, incident_id)
    if found is None:
        known = ", ".join(one.id for one in incidents.find_open(environment)) or "none"
        raise PreconditionFailed(f"{environment} has no incident {incident_id}; open are: {known}")
    return found


@action
def open_incident(environment: str, incident_id: str, priority: Priority, title: str) -> Incident:
    """Opened once: it goes on from when it began."""
    known = incidents.find(environment, incident_id)
    if known and known.is_open:
        return known
    if known:
        raise PreconditionFailed(f"{known} was resolved at {known.resolved_at}, expected a new name for a new incident")
    return incidents.keep(Incident(incident_id, environment, priority, title, incidents.now()))


@action
def acknowledge(incident: Incident, by: str) -> Incident:
    """The first who has it keeps it; what is told unless it is resolved goes on."""
    return (
        incident
        if incident.acknowledged_at
        else incidents.keep(incident, acknowledged_at=incidents.now(), acknowledged_by=by)
    )


@action
def resolve(incident: Incident, by: str) -> Incident:
    return incident if not incident.is_open else incidents.keep(incident, resolved_at=incidents.now(), resolved_by=by)


@action
def escalate(incident: Incident, now: datetime) -> tuple[str, ...]:
    """Take every step that is due and was not taken. One that is killed between telling and remembering tells twice.

    Returns:
        A line for each person told now.

    Raises:
        NotTold: somebody could not be told; the others were, and the next look tries again.
    """
    due = read_on_call().due(
        incident.priority,
        incident.began,
        now,
        acknowledged=bool(incident.acknowledged_at),
        resolved=not incident.is_open,
    )
    title = f"[{incident.priority}] {incident.environment}: {incident.title}"
    told, lines, failures = incidents.find_told(incident), [], []
    for step in due:
        if step.key in told:
            continue
        try:
            said = notification.reach(step, title, str(incident))
        except NotTold as failure:
            failures.append(str(failure))
            continue
        incidents.remember_told(incident, step.key, f"{now.isoformat(timespec='seconds')} {said}")
        lines.append(said)
    if failures:
        raise NotTold("; ".join(failures))
    return tuple(lines)
