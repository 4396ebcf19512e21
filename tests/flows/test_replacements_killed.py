"""kill -9 at every task boundary of the other procedures that replace instances; the same run again ends the same."""

from typing import Any

import pytest

from flows.deploy_application import deploy_application
from tasks.rollout import plan_rollout
from tests import killing
from tests.stack import Stack, begin_rollout, publish_ami

MOST_BOUNDARIES = 40
pytestmark = pytest.mark.timeout(1200)


def kill_everywhere(stack: Stack, environment: dict[str, str], procedure: str, first: int, wish: Any) -> None:
    """Each boundary from `first` on, of a change of its own; `wish(n)` is what the n-th one asks for."""
    for boundary in range(first, MOST_BOUNDARIES):
        wanted = {"environment": "dev", **wish(boundary)}
        began = (len(stack.refreshes()), len(stack.template_versions()))
        killed = killing.run(f"call:{boundary}", procedure, wanted, environment)
        if killed == killing.KILLED:
            assert killing.run("never", procedure, wanted, environment) == 0, boundary
        assert len(stack.running_versions()) == 1, boundary
        assert stack.running_versions() == {str(max(stack.template_versions()))}, boundary
        assert (len(stack.refreshes()), len(stack.template_versions())) == (began[0] + 1, began[1] + 1), boundary
        if killed == 0:
            assert boundary > first + 3, "the kills did not reach the last task"
            return
    pytest.fail(f"more than {MOST_BOUNDARIES} task boundaries")


def test_a_patch(stack: Stack, environment: dict[str, str]) -> None:
    patching = {"bake_minutes": 0, "canary_minutes": 1, "outside_window_because": "a test does not wait for Sunday"}

    def wish(_boundary: int) -> dict[str, Any]:
        publish_ami(stack)
        return patching

    kill_everywhere(stack, environment, "flows.patch_instances", 9, wish)
    newest = stack.clients("ssm").get_parameter(
        Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    )["Parameter"]["Value"]
    ids = [one["InstanceId"] for one in stack.group()["Instances"]]
    found = stack.clients("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    assert {instance["ImageId"] for reservation in found for instance in reservation["Instances"]} == {newest}


def test_a_rollback(stack: Stack, environment: dict[str, str]) -> None:
    for version in ("1.0.0", "2.0.0"):
        deploy_application("dev", stack.push(version), bake_minutes=0, batch_percentage=100)

    def wish(_boundary: int) -> dict[str, Any]:
        other = ({"1.0.0", "2.0.0"} - stack.served()).pop()
        return {"to": stack.push(other), "batch_percentage": 100, "compare_with_terraform": False}

    kill_everywhere(stack, environment, "flows.rollback_application", 7, wish)


def test_a_refresh(stack: Stack, environment: dict[str, str]) -> None:
    def wish(boundary: int) -> dict[str, Any]:
        return {"request": f"INC-{boundary}", "batch_percentage": 100}

    kill_everywhere(stack, environment, "flows.refresh_instances", 7, wish)
    assert stack.served() == {"1.0.0"}


def test_taking_an_unfinished_rollout_back(stack: Stack, environment: dict[str, str]) -> None:
    first, procedure, wanted = 6, "flows.rollback_application", {"environment": "dev", "compare_with_terraform": False}
    for boundary in range(first, MOST_BOUNDARIES):
        begin_rollout(stack, stack.push(f"2.{boundary}.0"), plan_rollout(2, 50, 120, 0))
        killed = killing.run(f"call:{boundary}", procedure, wanted, environment)
        if killed == killing.KILLED:
            assert killing.run("never", procedure, wanted, environment) == 0, boundary
        assert stack.refreshes()[0]["Status"] == "RollbackSuccessful", boundary
        assert (stack.served(), stack.running_versions()) == ({"1.0.0"}, {"1"}), boundary
        assert stack.template_versions() == [1], boundary
        assert len(stack.refreshes()) == boundary - first + 1, boundary
        if killed == 0:
            assert boundary > first + 3, "the kills did not reach the last task"
            return
    pytest.fail(f"more than {MOST_BOUNDARIES} task boundaries")
