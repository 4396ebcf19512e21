"""An emergency's size: at once, written down, and gone when its hours are over."""

from typing import Any

from flows.end_emergency import end_emergency
from flows.scale_up import scale_up
from flows.sweep_residue import sweep_residue
from tasks import emergency, health
from tasks.environment import describe_environment
from tests import killing
from tests.stack import Stack

FLOW = "flows.scale_up"


def scale(instances: int, **how: Any) -> Any:
    wanted = {"by": "ann", "because": "INC-7", **how}
    return scale_up("dev", instances, **wanted, return_state=True)  # type: ignore[call-overload]


def end(**how: Any) -> Any:
    return end_emergency("dev", **how, return_state=True)  # type: ignore[call-overload]


def sweep() -> Any:
    return sweep_residue("dev", return_state=True)  # type: ignore[call-overload]


def message(state: Any) -> str:
    return str(state.result(raise_on_failure=False))


def size(stack: Stack) -> tuple[int, int, int]:
    group = stack.group()
    return group["MinSize"], group["DesiredCapacity"], group["MaxSize"]


def verdict() -> tuple[str, str]:
    found = health.check_component.fn("emergency changes", describe_environment.fn("dev"))
    return found.verdict, found.observed


def test_beyond_the_maximum_all_serve_and_it_is_named_until_it_is_taken_back(stack: Stack) -> None:
    before = size(stack)
    assert scale(before[2] + 1).is_completed()
    assert size(stack) == (before[0], before[2] + 1, before[2] + 1)
    assert len([one for one in stack.group()["Instances"] if one["LifecycleState"] == "InService"]) == before[2] + 1
    assert verdict()[0] == "warn"
    assert "by ann because: INC-7" in verdict()[1]
    assert sweep().is_completed()  # not over yet
    assert size(stack)[1] == before[2] + 1
    assert end().is_completed()
    assert (size(stack), verdict()[0]) == (before, "ok")
    assert message(end()) == "nothing to do"


def test_what_is_over_is_wrong_and_the_sweeper_takes_it_back(stack: Stack) -> None:
    before = size(stack)
    assert scale(before[1] + 1, hours=0.0001).is_completed()
    assert verdict()[0] == "fail"
    assert sweep().is_completed()
    assert (size(stack), emergency.find("dev")) == (before, None)


def test_a_run_that_was_killed_behind_the_change_has_written_down_what_it_goes_back_to(
    stack: Stack, environment: dict[str, str]
) -> None:
    before = size(stack)
    asked = {"environment": "dev", "instances": before[2] + 1, "by": "ann", "because": "INC-7", "hours": 0.0001}
    assert killing.run("before:wait_until_serving", FLOW, asked, environment) == killing.KILLED
    killing.let_lease_run_out()
    assert killing.run("never", FLOW, asked, environment) == 0  # twice is safe
    assert sweep().is_completed()
    assert size(stack) == before


def test_what_somebody_changed_since_is_not_guessed_at(stack: Stack) -> None:
    before = size(stack)
    assert scale(before[1] + 1, hours=0.0001).is_completed()
    stack.clients("autoscaling").update_auto_scaling_group(AutoScalingGroupName=stack.asg, MaxSize=9)
    swept = sweep()
    assert swept.is_failed()
    assert "somebody changed it since" in message(swept)
    assert end(adopted=True).is_completed()
    assert (size(stack)[2], emergency.find("dev")) == (9, None)


def test_a_size_that_is_not_larger_is_refused_and_nothing_is_written_down(stack: Stack) -> None:
    before = size(stack)
    for not_more in (1, 2):
        assert scale(not_more).is_failed()
    assert scale(before[1] + 1, dry_run=True).is_completed()
    assert (size(stack), emergency.find("dev")) == (before, None)
