"""Drift as data: what is there, what the code says, and whether anybody touched it; and who that was."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.cloudtrail import Call, latest_of
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.terraform_drift import read_drift
from tasks.tolerated_drift import Tolerance, page, require_found, require_none_left, require_reason

GROUP = "module.ec2.aws_autoscaling_group.main"
NOW = datetime(2026, 11, 26, 2, 10, tzinfo=UTC)


def change(address: str, actions: list[str], before: Any, after: Any, **more: Any) -> dict[str, Any]:
    return {
        "address": address,
        "type": address.split(".")[-2],
        "mode": "managed",
        "change": {"actions": actions, "before": before, "after": after, **more},
    }


RAISED = {"id": "asg", "name": "asg", "max_size": 15}
WANTED = {"id": "asg", "name": "asg", "max_size": 4}
CHANGED = {
    "resource_changes": [change(GROUP, ["update"], RAISED, WANTED)],
    "resource_drift": [change(GROUP, ["update"], WANTED, RAISED)],
}


def call(name: str = "UpdateAutoScalingGroup", mentions: str = "asg", agent: str = "console", minutes: int = 0) -> Call:
    return Call(NOW + timedelta(minutes=minutes), name, "ann", agent, frozenset({mentions}))


def test_a_changed_attribute_is_told_with_both_values() -> None:
    (found,) = read_drift(CHANGED)
    assert str(found) == f"{GROUP}: max_size is 15, expected 4"
    assert not found.is_ours


def test_code_that_was_not_applied_is_nobodys_drift() -> None:
    (found,) = read_drift({"resource_changes": CHANGED["resource_changes"]})
    assert found.is_ours
    assert "the code: it was changed and not applied" in "".join(page([found], [call()], {}))


def test_what_moves_without_a_wish_to_move_it_back_is_no_drift() -> None:
    database = "module.rds.aws_db_instance.main"
    moved = change(database, ["update"], {"latest_restorable_time": "10:00"}, {"latest_restorable_time": "10:05"})
    unchanged = change(database, ["no-op"], {"id": "db"}, {"id": "db"})
    assert read_drift({"resource_changes": [unchanged], "resource_drift": [moved]}) == ()


def test_a_deleted_resource_is_found_by_the_name_that_the_state_remembers() -> None:
    alarm = "module.monitoring.aws_cloudwatch_metric_alarm.cpu"
    gone = {
        "resource_changes": [change(alarm, ["create"], None, {"alarm_name": "cpu"})],
        "resource_drift": [change(alarm, ["delete"], {"id": "cpu", "alarm_name": "cpu"}, None)],
    }
    (found,) = read_drift(gone)
    assert str(found) == f"{alarm}: is gone"
    assert latest_of([call("DeleteAlarms", "cpu"), call("PutMetricAlarm", "other", minutes=1)], found.names)


def test_a_secret_is_not_shown() -> None:
    secret = change("a.aws_x.b", ["update"], {"k": "canary"}, {"k": "new canary"}, before_sensitive={"k": True})
    assert "canary" not in str(read_drift({"resource_changes": [secret]}))


def test_the_newest_call_is_to_blame_and_a_run_of_ours_is_named() -> None:
    ours = call(agent="Boto3/1.4 runbook/scale-out/8f3a", minutes=5)
    found = latest_of([call(), ours, call(mentions="other", minutes=9)], frozenset({"asg"}))
    assert str(found) == "UpdateAutoScalingGroup by scale-out (run 8f3a) at 2026-11-26 02:15 UTC"
    assert str(call()) == "UpdateAutoScalingGroup by ann at 2026-11-26 02:10 UTC"


def test_tolerated_drift_is_red_again_when_its_time_is_over() -> None:
    found = read_drift(CHANGED)
    later, before = (f"{datetime.now(UTC) + timedelta(hours=h):%Y-%m-%dT%H:%M:%SZ}" for h in (1, -1))
    require_none_left("dev", found, {GROUP: Tolerance(GROUP, later, "INC-42", "r")})
    with pytest.raises(VerificationFailed, match="max_size is 15, expected 4"):
        require_none_left("dev", found, {GROUP: Tolerance(GROUP, before, "INC-42", "r")})


@pytest.mark.parametrize(
    ("until", "reason"),
    [(None, "INC-42"), (datetime(2100, 1, 1, tzinfo=UTC), " "), (datetime(2000, 1, 1, tzinfo=UTC), "INC-42")],
)
def test_nothing_is_tolerated_for_ever_or_without_a_reason(until: datetime | None, reason: str) -> None:
    with pytest.raises(PreconditionFailed):
        require_reason([GROUP], until, reason)


def test_only_what_drifted_can_be_tolerated() -> None:
    with pytest.raises(PreconditionFailed, match="which did not drift"):
        require_found(["module.other"], read_drift(CHANGED))
