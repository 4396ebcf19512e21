"""A maintenance window from its announcement to its end, and what is refused on the way."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prefect.blocks.system import Secret

from flows.announce_maintenance import announce_maintenance
from flows.begin_maintenance import begin_maintenance
from flows.end_maintenance import end_maintenance
from flows.remind_of_maintenance import remind_of_maintenance
from tasks import health, maintenance
from tasks.errors import PreconditionFailed
from tasks.notification import USUAL
from tests.sink import sink
from tests.stack import NAME, Stack

SUNDAY = datetime(2026, 11, 29, 2, tzinfo=UTC)
BUCKET = f"{NAME}-database-backups-123456789012"
WHAT = "PostgreSQL minor version; the shop is read-only for a minute"


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    with sink() as (address, arrived):
        Secret(value=address).save(USUAL, overwrite=True)
        yield arrived
    Secret.delete(USUAL)


@pytest.fixture
def kept(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """With the bucket that states are kept in, and only the components that the small stack has."""
    small = ("targets", "auto scaling group", "application", "alarms")
    monkeypatch.setattr(health, "COMPONENTS", {name: health.COMPONENTS[name] for name in small})
    where = {"LocationConstraint": "eu-north-1"}
    stack.clients("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    return stack


def announce(begins: datetime, **how: Any) -> Any:
    return announce_maintenance("dev", begins, WHAT, **how, return_state=True)  # type: ignore[call-overload]


def begin() -> Any:
    return begin_maintenance("dev", return_state=True)  # type: ignore[call-overload]


def message(state: Any) -> str:
    return str(state.result(raise_on_failure=False))


def take_snapshot(stack: Stack) -> None:
    rds = stack.clients("rds")
    rds.create_db_instance(
        DBInstanceIdentifier=f"{NAME}-db",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        MasterUsername="postgres",
        MasterUserPassword="a-password-of-tests",
        AllocatedStorage=20,
    )
    rds.get_waiter("db_instance_available").wait(WaiterConfig={"Delay": 1})
    rds.create_db_snapshot(DBInstanceIdentifier=f"{NAME}-db", DBSnapshotIdentifier="before")
    rds.get_waiter("db_snapshot_available").wait(WaiterConfig={"Delay": 1})


def mutes(stack: Stack) -> list[str]:
    found = stack.clients("cloudwatch").list_alarm_mute_rules()["AlarmMuteRuleSummaries"]
    return [one["Status"] for one in found]


def read(stack: Stack, key: str) -> Any:
    return json.loads(stack.clients("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())


def test_from_its_announcement_to_its_end(kept: Stack, told: list[dict[str, Any]], prefect_server: str) -> None:
    assert "no maintenance of dev was announced" in message(begin())
    now = datetime.now(UTC)
    announced = announce(now, late_because="a test does not wait for Sunday")
    assert announced.is_completed(), message(announced)
    assert announce(now, late_because="again").is_completed()
    assert [WHAT in one["message"] for one in told] == [True]
    assert "announced already is" in message(announce(now + timedelta(days=1), late_because="another"))
    assert "flows.snapshot_database --environment dev" in message(begin())
    assert mutes(kept) == []
    take_snapshot(kept)
    for _ in range(2):  # the second time is a run that was started again
        begun = begin()
        assert begun.is_completed(), message(begun)
    assert "ACTIVE" in mutes(kept)
    identifier = message(announced)
    assert read(kept, f"maintenance/{identifier}/before.json")["outputs"]["asg_name"] == kept.asg
    ended = end_maintenance("dev", watch_minutes=0.02, return_state=True)  # type: ignore[call-overload]
    assert ended.is_completed(), message(ended)
    assert mutes(kept) == []
    assert read(kept, f"maintenance/{identifier}/after.json")["components"][0]["verdict"] == "ok"
    assert WHAT in message(ended)
    page = httpx.get(f"{prefect_server}/artifacts/end-maintenance-dev/latest").raise_for_status().json()["data"]
    assert "for CHANGELOG.md" in page
    assert message(end_maintenance("dev", return_state=True)) == "nothing to do"  # type: ignore[call-overload]


def test_trouble_within_the_watch_is_red_and_the_window_stays_open(kept: Stack, told: list[dict[str, Any]]) -> None:
    begun_at = maintenance.now()
    one = maintenance.plan_maintenance("dev", datetime.now(UTC), 60, WHAT, datetime.now(UTC), "a test")
    maintenance.keep.fn(one, begun_at=begun_at)
    clients = kept.clients("autoscaling")
    clients.suspend_processes(AutoScalingGroupName=kept.asg, ScalingProcesses=["Launch"])
    for instance in kept.group()["Instances"]:
        clients.terminate_instance_in_auto_scaling_group(
            InstanceId=instance["InstanceId"], ShouldDecrementDesiredCapacity=False
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "wait_until_well", lambda _: [])  # it was well, and then it was not
        state = end_maintenance("dev", watch_minutes=5, return_state=True)  # type: ignore[call-overload]
    assert "after the maintenance of" in message(state)
    assert maintenance.find_maintenance.fn("dev").begun_at == begun_at  # type: ignore[union-attr]


def test_people_are_reminded_once_two_hours_before_it_and_once_when_nobody_ended_it(
    kept: Stack, request: pytest.FixtureRequest
) -> None:
    now = datetime.now(UTC)
    assert message(remind()) == "told nobody"
    soon = announced_for(now + timedelta(minutes=90), now - timedelta(days=1))
    assert "nobody was told" in message(remind())
    told = request.getfixturevalue("told")
    assert [message(remind()) for _ in range(2)] == ["told dev soon", "told nobody"]
    assert "begins in 90 min" in told[-1]["message"]
    maintenance.keep.fn(soon, begins_at=(now - timedelta(hours=2)).isoformat(), begun_at=maintenance.now())
    assert [message(remind()) for _ in range(2)] == ["told dev overrun", "told nobody"]
    assert "flows.end_maintenance --environment dev" in told[-1]["message"]
    assert len(told) == 2


def remind() -> Any:
    return remind_of_maintenance(return_state=True)  # type: ignore[call-overload]


def announced_for(begins: datetime, announced: datetime) -> maintenance.Maintenance:
    one = maintenance.plan_maintenance("dev", begins, 60, WHAT, announced, "not on a Sunday")
    return maintenance.keep.fn(one)


@pytest.mark.parametrize(
    ("minutes_from_its_beginning", "begun", "announced_hours_ahead", "expected"),
    [
        (-121, False, 24, None),
        (-120, False, 24, "soon"),
        (-1, False, 24, "soon"),
        (-1, False, 1, None),  # whoever announced it told people just before
        (0, False, 24, None),
        (59, True, 24, None),
        (60, True, 24, "overrun"),
        (60, False, 24, "missed"),
    ],
)
def test_what_people_are_reminded_of_and_when(
    minutes_from_its_beginning: int, begun: bool, announced_hours_ahead: int, expected: str | None
) -> None:
    one = plan(SUNDAY, SUNDAY - timedelta(hours=announced_hours_ahead), late="a test")
    if begun:
        one = replace(one, begun_at=SUNDAY.isoformat())
    due = maintenance.reminder(one, SUNDAY + timedelta(minutes=minutes_from_its_beginning))
    assert (due and due[0]) == expected
    if due:
        assert maintenance.reminder(replace(one, told=[due[0]]), one.ends if begun else one.begins) is None


def plan(begins: datetime, now: datetime, minutes: int = 60, late: str | None = None) -> maintenance.Maintenance:
    return maintenance.plan_maintenance("prod", begins, minutes, WHAT, now, late)


def test_a_window_is_announced_a_day_ahead_and_lies_inside_the_weekly_one() -> None:
    assert plan(SUNDAY, SUNDAY - timedelta(hours=24)).ends == SUNDAY + timedelta(hours=1)
    with pytest.raises(PreconditionFailed, match="less than 24 h from now"):
        plan(SUNDAY, SUNDAY - timedelta(hours=23))
    for begins, minutes in ((SUNDAY - timedelta(minutes=1), 60), (SUNDAY, 181), (SUNDAY + timedelta(hours=3), 5)):
        with pytest.raises(PreconditionFailed, match="not inside the window"):
            plan(begins, SUNDAY - timedelta(days=2), minutes)
    assert plan(SUNDAY + timedelta(days=1), SUNDAY, late="INC-7").minutes == 60
