"""kill -9 at every task boundary of the other procedures that replace instances; the same run again ends the same."""

from typing import Any

import pytest

from flows.deploy_application import deploy_application
from tasks.rollout import plan_rollout
from tests import killing
from tests.stack import Stack, begin_rollout, publish_ami

pytestmark = pytest.mark.timeout(1200)


def kill_everywhere(
    stack: Stack, environment: dict[str, str], procedure: str, wanted: dict[str, Any], made: tuple[int, int]
) -> None:
    """One run, killed at each boundary on its way; `made`: how many refreshes and versions come of it all the same."""
    began = (len(stack.refreshes()), len(stack.template_versions()))
    killing.kill_everywhere(procedure, {"environment": "dev", **wanted}, environment)
    assert len(stack.running_versions()) == 1
    after = (len(stack.refreshes()), len(stack.template_versions()))
    assert after == (began[0] + made[0], began[1] + made[1])


@pytest.mark.exhaustive
def test_a_patch(stack: Stack, environment: dict[str, str]) -> None:
    newest = publish_ami(stack)
    patching = {"bake_minutes": 0, "canary_minutes": 1, "outside_window_because": "a test does not wait for Sunday"}
    kill_everywhere(stack, environment, "flows.patch_instances", patching, made=(1, 1))
    ids = [one["InstanceId"] for one in stack.group()["Instances"]]
    found = stack.clients("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    assert {instance["ImageId"] for reservation in found for instance in reservation["Instances"]} == {newest}


@pytest.mark.exhaustive
def test_a_rollback(stack: Stack, environment: dict[str, str]) -> None:
    for version in ("1.0.0", "2.0.0"):
        deploy_application("dev", stack.push(version), bake_minutes=0, batch_percentage=100)
    wanted = {"to": stack.push("1.0.0"), "batch_percentage": 100, "compare_with_terraform": False}
    kill_everywhere(stack, environment, "flows.rollback_application", wanted, made=(1, 1))
    assert stack.served() == {"1.0.0"}


def test_a_refresh(stack: Stack, environment: dict[str, str]) -> None:
    wanted = {"request": "INC-42", "batch_percentage": 100}
    kill_everywhere(stack, environment, "flows.refresh_instances", wanted, made=(1, 1))
    assert stack.served() == {"1.0.0"}


def test_taking_an_unfinished_rollout_back(stack: Stack, environment: dict[str, str]) -> None:
    begin_rollout(stack, stack.push("2.0.0"), plan_rollout(2, 50, 600, 0))
    wanted = {"environment": "dev", "compare_with_terraform": False}
    killing.kill_everywhere("flows.rollback_application", wanted, environment)
    assert [one["Status"] for one in stack.refreshes()] == ["RollbackSuccessful"]
    assert (stack.served(), stack.running_versions()) == ({"1.0.0"}, {"1"})
    assert stack.template_versions() == [1]
