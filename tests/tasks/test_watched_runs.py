"""When a deployment is in trouble, as a decision over its runs; and that a missed time of any schedule is noticed."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.schedules import CronSchedule

from tasks.watched_runs import Deployment, Schedule, judge, last_due

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
SCHEDULED = [
    (entry, schedule)
    for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    for schedule in entry.get("schedules", ())
]
FIRST_MONDAY = CronSchedule(cron="0 6 1-7 * 1", day_or=False, timezone="UTC")


def deployment(*crons: CronSchedule, since: datetime = NOW - timedelta(days=365)) -> Deployment:
    schedules = tuple(Schedule(cron, since) for cron in crons)
    return Deployment(uuid4(), "verify-backup/prod", ("impact:none", "expected:90m"), schedules)


def run(kind: StateType, began: datetime, message: str = "") -> FlowRun:
    state: State[None] = State(type=kind, message=message, timestamp=began)
    return FlowRun(
        flow_id=uuid4(), name="a", state=state, state_type=kind, state_name=kind.value.title(), start_time=began
    )


def kinds(of: Deployment, *runs: FlowRun) -> list[str]:
    return [trouble.kind for trouble in judge(of, runs, NOW)]


def test_a_first_monday_is_a_monday_of_the_first_seven_days() -> None:
    assert last_due(deployment(FIRST_MONDAY), NOW) == datetime(2026, 11, 2, 6, 0, tzinfo=UTC)


def test_a_schedule_has_not_been_missed_before_it_was_registered_or_while_its_run_may_still_complete() -> None:
    assert last_due(deployment(FIRST_MONDAY, since=NOW - timedelta(days=1)), NOW) is None
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
        (StateType.PENDING, 0.5, ["overdue"]),
        (StateType.PENDING, 2, ["too long", "overdue"]),
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


def test_what_is_red_or_missing_again_and_again_is_one_trouble_until_it_was_well() -> None:
    def keys(of: Deployment, now: datetime, *runs: FlowRun) -> list[str]:
        return [trouble.key for trouble in judge(of, runs, now)]

    often = deployment(CronSchedule(cron="*/5 * * * *", timezone="UTC"))
    first, second = (run(StateType.FAILED, NOW - timedelta(minutes=minutes)) for minutes in (10, 5))
    good = run(StateType.COMPLETED, NOW - timedelta(hours=20))
    assert keys(often, NOW, second, first, good) == keys(often, NOW, first, good)
    later = NOW + timedelta(hours=9)
    assert len(keys(often, later, first, good)) == 2
    assert keys(often, later, first, good) == keys(often, later + timedelta(minutes=10), second, first, good)
    assert keys(deployment(), NOW, second, first) != keys(deployment(), NOW, first)


def test_a_deployment_without_a_schedule_is_never_overdue() -> None:
    assert kinds(deployment()) == []
    assert kinds(deployment(FIRST_MONDAY)) == ["overdue"]


@pytest.mark.parametrize(("entry", "schedule"), SCHEDULED, ids=lambda one: one.get("entrypoint") or one["slug"])
def test_a_time_of_any_schedule_that_was_missed_is_overdue_and_one_that_was_kept_is_not(
    entry: dict[str, Any], schedule: dict[str, Any]
) -> None:
    cron = CronSchedule(cron=schedule["cron"], day_or=schedule.get("day_or", True), timezone=schedule["timezone"])
    since = NOW - timedelta(days=400)
    of = Deployment(uuid4(), "it", tuple(entry["tags"]), (Schedule(cron, since),))
    times = due_times(schedule["cron"], since, NOW)
    for day in range(100, 400, 23):
        now = since + timedelta(days=day, hours=day % 24)
        due = times[bisect_right(times, now - of.expected - timedelta(hours=1)) - 1]
        assert last_due(of, now) == due
        missed, kept = run(StateType.COMPLETED, due - timedelta(minutes=1)), run(StateType.COMPLETED, due)
        assert [trouble.kind for trouble in judge(of, [missed], now)] == ["overdue"]
        assert list(judge(of, [kept, missed], now)) == []


def due_times(cron: str, since: datetime, until: datetime) -> list[datetime]:
    """What the five fields mean, day by day; every schedule of ours is of days AND weekdays."""
    minutes, hours, days, months, weekdays = (field_values(*one) for one in zip(cron.split(), ENDS, strict=True))
    midnights = (since.replace(hour=0, minute=0) + timedelta(days=one) for one in range((until - since).days + 1))
    return [
        day + timedelta(hours=hour, minutes=minute)
        for day in midnights
        if day.day in days and day.month in months and (day.weekday() + 1) % 7 in weekdays
        for hour, minute in product(sorted(hours), sorted(minutes))
    ]


ENDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


def field_values(text: str, ends: tuple[int, int]) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        bounds, _, step = part.partition("/")
        low, _, high = bounds.partition("-")
        first, last = ends if low == "*" else (int(low), int(high or low))
        found |= set(range(first, last + 1, int(step or 1)))
    return found
