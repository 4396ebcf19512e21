"""When a deployment is in trouble, as a decision over its runs."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.schedules import CronSchedule

from tasks.watched_runs import Deployment, judge, last_due

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
FIRST_MONDAY = CronSchedule(cron="0 6 1-7 * 1", day_or=False, timezone="UTC")


def deployment(*schedules: CronSchedule, created: datetime = NOW - timedelta(days=365)) -> Deployment:
    return Deployment(uuid4(), "verify-backup/prod", ("impact:none", "expected:90m"), created, schedules)


def run(kind: StateType, began: datetime, message: str = "") -> FlowRun:
    state: State[None] = State(type=kind, message=message)
    return FlowRun(
        flow_id=uuid4(), name="a", state=state, state_type=kind, state_name=kind.value.title(), start_time=began
    )


def kinds(of: Deployment, *runs: FlowRun) -> list[str]:
    return [trouble.kind for trouble in judge(of, runs, NOW)]


def test_a_first_monday_is_a_monday_of_the_first_seven_days() -> None:
    assert last_due(deployment(FIRST_MONDAY), NOW) == datetime(2026, 11, 2, 6, 0, tzinfo=UTC)


def test_a_schedule_has_not_been_missed_before_it_was_registered_or_while_its_run_may_still_complete() -> None:
    assert last_due(deployment(FIRST_MONDAY, created=NOW - timedelta(days=1)), NOW) is None
    soon = CronSchedule(cron="0 10 * * *", timezone="UTC")
    assert last_due(deployment(soon), NOW) == datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
    assert last_due(deployment(soon), NOW + timedelta(minutes=30)) == datetime(2026, 11, 26, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "hours_ago", "expected"),
    [
        (StateType.COMPLETED, 24 * 20, []),
        (StateType.COMPLETED, 24 * 40, ["overdue"]),
        (StateType.FAILED, 24 * 20, ["red"]),
        (StateType.CRASHED, 24 * 40, ["red", "overdue"]),
        (StateType.RUNNING, 5, ["overdue"]),
        (StateType.RUNNING, 7, ["too long", "overdue"]),
    ],
)
def test_trouble_is_what_ended_red_goes_on_for_too_long_or_did_not_happen(
    kind: StateType, hours_ago: float, expected: list[str]
) -> None:
    assert kinds(deployment(FIRST_MONDAY), run(kind, NOW - timedelta(hours=hours_ago))) == expected


def test_a_later_success_ends_the_trouble() -> None:
    failed = run(StateType.FAILED, NOW - timedelta(hours=9), "no space")
    assert [one.text for one in judge(deployment(), [failed], NOW)] == ["a ended Failed: no space"]
    assert kinds(deployment(), run(StateType.COMPLETED, NOW - timedelta(hours=1)), failed) == []


def test_a_deployment_without_a_schedule_is_never_overdue() -> None:
    assert kinds(deployment()) == []
    assert kinds(deployment(FIRST_MONDAY)) == ["overdue"]
