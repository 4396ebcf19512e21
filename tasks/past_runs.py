"""Which of our procedures ran in a month, as Prefect has recorded them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time

from prefect import get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort

from tasks.kinds import probe
from tasks.month import Month

PAGE = 200
ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]


@dataclass(frozen=True)
class PastRun:
    at: datetime
    procedure: str
    state: str


@probe
def list_past_runs(environment: str, month: Month, procedures: Collection[str]) -> tuple[PastRun, ...]:
    """Those that began in it and have ended, the oldest first. One that names no environment may have been for all."""
    begin, end = (datetime.combine(day, time(), UTC) for day in (month.first, month.end))
    wanted = FlowRunFilter.model_validate(
        {"start_time": {"after_": begin, "before_": end}, "state": {"type": {"any_": ENDED}}}
    )
    named = FlowFilter.model_validate({"name": {"any_": sorted(procedures)}})
    found: list[PastRun] = []
    with get_client(sync_client=True) as client:
        names = {one.id: one.name for one in client.read_flows(flow_filter=named, limit=PAGE)}
        while True:
            runs = client.read_flow_runs(
                flow_filter=named,
                flow_run_filter=wanted,
                sort=FlowRunSort.START_TIME_ASC,
                limit=PAGE,
                offset=len(found),
            )
            for one in runs:
                began = one.start_time or begin
                is_ours = one.parameters.get("environment", environment) == environment
                found.append(PastRun(began, names[one.flow_id] if is_ours else "", one.state_name or ""))
            if len(runs) < PAGE:
                return tuple(one for one in found if one.procedure)
