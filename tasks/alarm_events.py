"""Alarms as events of Prefect, on which its automations act: one event for each time that an alarm was raised."""

from uuid import NAMESPACE_URL, uuid5

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.filters import EventFilter, EventIDFilter
from prefect.events.schemas.events import Event

from tasks.cloudwatch import RaisedAlarm
from tasks.kinds import action
from tasks.waiting import wait_until

RAISED = "aws.cloudwatch.alarm.raised"
STORED_SECONDS = 120
LONGEST_REASON = 500  # characters; the form of a diagnosis takes no more


@action
def announce(environment: str, alarm: RaisedAlarm) -> bool:
    """Tell Prefect of it once, however often it is seen; whether this was the first time.

    The event's id is made of the alarm and of when it was raised: the server knows the same one again.
    """
    event = plan_event(environment, alarm)
    with get_client(sync_client=True) as client:
        if _is_known(client, event):
            return False
        client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()
        wait_until(
            f"the event of {alarm.name}",
            lambda: _is_known(client, event),
            bool,
            timeout_seconds=STORED_SECONDS,
            expected="it in Prefect's record",
        )
    return True


def plan_event(environment: str, alarm: RaisedAlarm) -> Event:
    resource = {
        "prefect.resource.id": f"aws.cloudwatch.alarm.{alarm.name}",
        "prefect.resource.name": alarm.name,
        "runbook.environment": environment,
    }
    because = f"{alarm.name} is in ALARM since {alarm.since:%Y-%m-%d %H:%M:%S} UTC: {alarm.reason}"
    return Event(
        id=uuid5(NAMESPACE_URL, f"{alarm.arn} {alarm.since.isoformat()}"),
        event=RAISED,
        resource=resource,
        payload={"because": because[:LONGEST_REASON]},
    )


def _is_known(client: SyncPrefectClient, event: Event) -> bool:
    return bool(client.read_events(EventFilter(id=EventIDFilter(id=[event.id])), limit=1).events)
