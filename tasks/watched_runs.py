"""Prefect's own record of our runs: which ended red, which go on for too long, and which never happened."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.server.schemas.schedules import CronSchedule as Clock

from tasks.kinds import probe

EXPECTED = re.compile(r"expected:(\d+)m")
GRACE = timedelta(hours=1)
FAR_BEYOND = 4  # times its expected duration; a run that a dead worker left behind says Running for ever
LONGEST_PERIOD = timedelta(days=100)  # how far back a schedule's last time is looked for: a quarter
PAGE = 200
RED = (StateType.FAILED, StateType.CRASHED)

BEGUN = [StateType.PENDING, StateType.RUNNING, StateType.COMPLETED, *RED]


@dataclass(frozen=True)
class Trouble:
    kind: Literal["red", "too long", "overdue"]
    deployment: str
    tags: tuple[str, ...]
    key: str
    text: str


@dataclass(frozen=True)
class Schedule:
    """`since`: when it was first registered; nothing was due before."""

    cron: CronSchedule
    since: datetime


@dataclass(frozen=True)
class Deployment:
    """One line of prefect.yaml as the server knows it."""

    id: UUID
    name: str
    tags: tuple[str, ...]
    schedules: tuple[Schedule, ...]

    @property
    def expected(self) -> timedelta:
        found = [int(match[1]) for tag in self.tags if (match := EXPECTED.fullmatch(tag))]
        return timedelta(minutes=found[0] if found else 0)


@probe
def find_troubles(now: datetime) -> tuple[Trouble, ...]:
    """What somebody should know of, of every deployment on this server."""
    with get_client(sync_client=True) as client:
        return tuple(
            trouble
            for deployment in _deployments(client)
            for trouble in judge(deployment, _newest_runs(client, deployment), now)
        )


def judge(deployment: Deployment, runs: Sequence[FlowRun], now: datetime) -> Iterator[Trouble]:
    """
    Args:
        runs: the deployment's runs that have begun, newest first.
    """
    ended = [run for run in runs if run.state_type in (*RED, StateType.COMPLETED)]
    last_good = next((str(run.id) for run in ended if run.state_type == StateType.COMPLETED), "never")
    if ended and ended[0].state_type in RED:
        said = ended[0].state.message if ended[0].state else ""
        # What is red every five minutes is one trouble; what a person started is one each time.
        which = last_good if deployment.schedules else str(ended[0].id)
        yield _trouble("red", deployment, which, f"{ended[0].name} ended {ended[0].state_name}: {said}")
    for run in runs:
        if run.state_type == StateType.RUNNING and now - _began(run) > max(FAR_BEYOND * deployment.expected, GRACE):
            text = f"{run.name} runs since {_clock(_began(run))}, expected to take {_minutes(deployment.expected)}"
            yield _trouble("too long", deployment, str(run.id), f"{text}. Does its worker live?")
        if run.state and run.state_type == StateType.PENDING and now - run.state.timestamp > GRACE:
            text = f"{run.name} was taken by a worker at {_clock(run.state.timestamp)} and has not begun since"
            yield _trouble("too long", deployment, str(run.id), f"{text}. Start another one.")
    due = last_due(deployment, now)
    if due and not any(_began(run) >= due for run in ended):
        text = f"was due {_clock(due)} and has not completed since, expected it to in {_minutes(deployment.expected)}"
        yield _trouble("overdue", deployment, last_good, text)


def last_due(deployment: Deployment, now: datetime) -> datetime | None:
    """The last scheduled time of which a completed run is to be expected by now."""
    latest = now - deployment.expected - GRACE
    times = [time for schedule in deployment.schedules for time in _times(schedule, latest)]
    return max(times, default=None)


def _times(schedule: Schedule, latest: datetime) -> list[datetime]:
    cron = schedule.cron
    clock = Clock(cron=cron.cron, timezone=cron.timezone, day_or=cron.day_or)
    for back in (timedelta(hours=2), timedelta(days=1), timedelta(days=8), LONGEST_PERIOD):
        if found := asyncio.run(clock.get_dates(n=1000, start=latest - back, end=latest)):
            times = [datetime.fromtimestamp(time.timestamp(), UTC) for time in found if time <= latest]
            return [time for time in times[-1:] if time > schedule.since]
    return []


def _deployments(client: SyncPrefectClient) -> list[Deployment]:
    flows = {flow.id: flow.name for flow in client.read_flows(limit=PAGE)}
    return [_deployment(one, flows[one.flow_id]) for one in client.read_deployments(limit=PAGE)]


def _deployment(one: DeploymentResponse, flow: str) -> Deployment:
    active = [schedule for schedule in one.schedules if schedule.active and not one.paused]
    crons = tuple(
        Schedule(each.schedule, each.created or datetime.now(UTC))
        for each in active
        if isinstance(each.schedule, CronSchedule)
    )
    return Deployment(one.id, f"{flow}/{one.name}", tuple(one.tags), crons)


def _newest_runs(client: SyncPrefectClient, deployment: Deployment) -> list[FlowRun]:
    wanted = FlowRunFilter.model_validate(
        {"deployment_id": {"any_": [deployment.id]}, "state": {"type": {"any_": BEGUN}}}
    )
    return client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.START_TIME_DESC, limit=PAGE)


def _began(run: FlowRun) -> datetime:
    return run.start_time or datetime.min.replace(tzinfo=UTC)


def _trouble(kind: Literal["red", "too long", "overdue"], of: Deployment, which: str, text: str) -> Trouble:
    return Trouble(kind, of.name, of.tags, f"{kind}:{of.name}:{which}", text)


def _minutes(length: timedelta) -> str:
    return f"{length // timedelta(minutes=1)} min"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
