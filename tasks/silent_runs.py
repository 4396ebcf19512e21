"""Runs whose process is gone: nobody says so, they only fall silent. Prefect's heartbeats are what is listened for."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.settings import get_current_settings
from prefect.states import Crashed

from tasks.errors import WaitTimedOut
from tasks.kinds import action, probe
from tasks.waiting import wait_until

HEARTBEAT = "prefect.flow-run.heartbeat"
MISSED = 2  # heartbeats in a row; the network or a busy server may lose one


@probe
def describe_run(run: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run)


@probe
def is_heard(run: UUID) -> bool:
    """Listen from now on, for as long as it takes a living process to be heard."""
    began, seconds = datetime.now(UTC), get_current_settings().flows.heartbeat_frequency or 0
    try:
        wait_until(
            f"run {run}",
            lambda: _has_beaten(run, began) or not _is_running(run),
            bool,
            timeout_seconds=MISSED * seconds,
            expected="a heartbeat",
        )
    except WaitTimedOut:
        return False
    return True


@action
def mark_crashed(run: UUID, because: str) -> bool:
    """Whether it was marked: a run that has ended, or waits for a person, is left as it is."""
    with get_client(sync_client=True) as client:
        if not _is_running(run):
            return False
        answer: OrchestrationResult[Any] = client.set_flow_run_state(run, Crashed(message=because))
    return answer.status == SetStateStatus.ACCEPT


def _has_beaten(run: UUID, since: datetime) -> bool:
    wanted = EventFilter(
        occurred=EventOccurredFilter(since=since, until=datetime.now(UTC)),
        event=EventNameFilter(name=[HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
    )
    with get_client(sync_client=True) as client:
        return bool(client.read_events(wanted, limit=1).events)


def _is_running(run: UUID) -> bool:
    return describe_run.fn(run).state_type == StateType.RUNNING
