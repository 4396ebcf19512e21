"""Patching: which machines run afterwards, what users saw, and what is refused or undone."""

from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.patch_instances import patch_instances
from tasks import smoke_test
from tests.stack import Stack, publish_ami

NIGHT = "a test does not wait for Sunday"


def patch(**parameters: Any) -> State[Any]:
    wanted = {"bake_minutes": 0, "canary_minutes": 1, "outside_window_because": NIGHT, **parameters}
    return patch_instances("dev", return_state=True, **wanted)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def amis(stack: Stack) -> set[str]:
    ids = [one["InstanceId"] for one in stack.group()["Instances"]]
    found = stack.clients("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    return {instance["ImageId"] for reservation in found for instance in reservation["Instances"]}


@pytest.fixture
def untouched(stack: Stack) -> Any:
    """The fleet is afterwards what it was before."""
    before = ({one["InstanceId"] for one in stack.group()["Instances"]}, stack.template_versions(), amis(stack))
    yield
    assert ({one["InstanceId"] for one in stack.group()["Instances"]}, stack.template_versions(), amis(stack)) == before


def test_every_instance_runs_the_newest_image_and_the_release_it_ran(stack: Stack) -> None:
    newest = publish_ami(stack, "CVE-2026-0001")
    assert patch().is_completed()
    assert (amis(stack), stack.running_versions(), stack.served()) == ({newest}, {"2"}, {"1.0.0"})
    (refresh,) = stack.refreshes()
    assert refresh["Preferences"]["CheckpointPercentages"] == [50, 100]  # D01: the last one is 100
    assert refresh["Status"] == "Successful"


@pytest.mark.usefixtures("untouched")
def test_a_group_that_runs_the_newest_image_is_left_alone_and_green(stack: Stack) -> None:
    state = patch()
    assert state.is_completed()
    assert message(state) == "nothing to do"


def test_patching_twice_replaces_once(stack: Stack) -> None:
    publish_ami(stack)
    assert patch().is_completed()
    ids = {one["InstanceId"] for one in stack.group()["Instances"]}
    assert message(patch()) == "nothing to do"
    assert ({one["InstanceId"] for one in stack.group()["Instances"]}, len(stack.refreshes())) == (ids, 1)


@pytest.mark.usefixtures("untouched")
def test_a_patch_that_can_end_in_no_window_is_refused(stack: Stack) -> None:
    publish_ami(stack)
    state = patch(canary_minutes=120, bake_minutes=120, outside_window_because=None)
    assert state.is_failed()
    assert "expected at most the 180 min of a maintenance window" in message(state)


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_and_a_plan_that_nobody_saw_change_nothing(stack: Stack) -> None:
    publish_ami(stack)
    assert patch(dry_run=True).is_completed()
    assert patch(approved_plan="0" * 12).is_cancelled()


@pytest.mark.usefixtures("untouched")
def test_protected_and_standby_instances_are_named_before_anything_starts(stack: Stack) -> None:
    publish_ami(stack)
    first, second = (one["InstanceId"] for one in stack.group()["Instances"])
    autoscaling = stack.clients("autoscaling")
    autoscaling.set_instance_protection(AutoScalingGroupName=stack.asg, InstanceIds=[first], ProtectedFromScaleIn=True)
    assert first in message(patch())
    autoscaling.set_instance_protection(AutoScalingGroupName=stack.asg, InstanceIds=[first], ProtectedFromScaleIn=False)
    autoscaling.enter_standby(AutoScalingGroupName=stack.asg, InstanceIds=[second], ShouldDecrementDesiredCapacity=True)
    assert second in message(patch())


def unharmed(stack: Stack, before: set[str]) -> bool:
    return (amis(stack), stack.running_versions(), stack.template_versions(), stack.served()) == (
        before,
        {"1"},
        [1],
        {"1.0.0"},
    )


def test_a_canary_that_fails_its_smoke_test_undoes_the_patch(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    before = amis(stack)
    publish_ami(stack)
    monkeypatch.setattr(smoke_test, "COMMANDS", ("echo this machine is no good; exit 3",))
    state = patch()
    assert state.is_failed()
    assert "smoke test failed" in message(state)
    assert "serves the version before again" in message(state)
    assert unharmed(stack, before)


def test_an_image_that_vanished_before_its_instances_were_launched_ends_red_and_unharmed(stack: Stack) -> None:
    before = amis(stack)
    newest = publish_ami(stack)
    stack.clients("ec2").deregister_image(ImageId=newest)
    state = patch()
    assert state.is_failed()
    assert newest in message(state)
    assert unharmed(stack, before)


def test_a_machine_type_without_capacity_ends_red_and_unharmed(stack: Stack) -> None:
    before = amis(stack)
    publish_ami(stack)
    stack.fault(match="ec2:RunInstances", kind="error", code="InsufficientInstanceCapacity", status=500)
    state = patch()
    assert state.is_failed()
    assert "sufficient" in message(state)
    assert unharmed(stack, before)


def test_throttled_calls_are_waited_out(stack: Stack) -> None:
    newest = publish_ami(stack)
    stack.fault(match="(autoscaling|ec2|ssm):.*", kind="error", code="Throttling", status=400, times=2)
    assert patch().is_completed()
    assert amis(stack) == {newest}


@pytest.mark.usefixtures("untouched")
def test_a_group_that_follows_latest_is_refused(stack: Stack) -> None:
    stack.clients("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=stack.asg, LaunchTemplate={"LaunchTemplateId": stack.template, "Version": "$Latest"}
    )
    state = patch()
    assert state.is_failed()
    assert "'$Latest'" in message(state)
