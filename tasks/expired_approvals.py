"""Runs that wait for a person who never came: ended as what they are, not approved."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled

from tasks.approval import plan_of
from tasks.errors import NotApproved
from tasks.kinds import action

# A run that waits in its own process ends itself when its time is over.
GRACE = timedelta(minutes=1)
PAGE = 200


@action
def end_expired(now: datetime) -> tuple[str, ...]:
    """The server lets a suspension that nobody answered stay for ever, and an answer that is late makes it Failed.

    Returns:
        A line for each run that was ended.
    """
    lines = []
    with get_client(sync_client=True) as client:
        for run, expired_at in _find(client, now):
            plan = plan_of(run.state.state_details.pause_key if run.state else None)
            said = f"nobody answered for plan {plan} until {expired_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            ended: State[None] = Cancelled(name=NotApproved.__name__, message=f"{said}. Nothing was changed.")
            client.set_flow_run_state(run.id, ended, force=True)
            lines.append(f"{run.name}: {said}")
    return tuple(lines)


def _find(client: SyncPrefectClient, now: datetime) -> Iterator[tuple[FlowRun, datetime]]:
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": [StateType.PAUSED]}}})
    for run in client.read_flow_runs(flow_run_filter=wanted, limit=PAGE):
        expires_at = run.state.state_details.pause_timeout if run.state else None
        if expires_at and now - expires_at > GRACE:
            yield run, expires_at
