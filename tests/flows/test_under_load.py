"""What users see at 100 requests/s while instances are replaced, and proof that this harness sees what goes wrong."""

import os
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from flows.patch_instances import patch_instances
from flows.rollback_application import rollback_application
from lab.load import Load
from tasks.rollout import plan_rollout, with_canary
from tests.stack import Stack, begin_rollout, build_stack, publish_ami

RATE = 100  # requests per second
INSTANCES = 6


@pytest.fixture
def stack(account: dict[str, Any], client: Callable[[str], Any]) -> Stack:
    return build_stack(account, client, INSTANCES)


def load(stack: Stack) -> Load:
    return Load(f"{stack.url}/items", rate=RATE)


def test_patching_six_instances_fails_no_request(stack: Stack) -> None:
    publish_ami(stack)
    with load(stack) as sent:
        state = patch_instances(  # type: ignore[call-overload]
            "dev",
            batch_percentage=50,
            canary_minutes=1,
            bake_minutes=0,
            outside_window_because="a test does not wait for Sunday",
            return_state=True,
        )
    assert state.is_completed()
    assert stack.running_versions() == {"2"}
    assert sent.result["failed"] == 0
    assert sent.result["sent"] > RATE


def test_rolling_a_half_finished_release_back_fails_no_request(stack: Stack) -> None:
    image = stack.push("2.0.0")
    with load(stack) as sent:
        begin_rollout(stack, image, with_canary(plan_rollout(INSTANCES, 50, 0, 0), 3600))
        stack.wait_until(lambda: "2.0.0" in stack.served())
        assert rollback_application("dev", compare_with_terraform=False, return_state=True).is_completed()  # type: ignore[call-overload]
    assert stack.refreshes()[0]["Status"] == "RollbackSuccessful"
    assert (stack.served(), stack.running_versions(), stack.template_versions()) == ({"1.0.0"}, {"1"}, [1])
    assert set(sent.result["by_version"]) == {"1.0.0", "2.0.0"}
    assert sent.result["failed"] == 0


def test_an_instance_that_ends_without_being_drained_shows_as_failed_requests(stack: Stack) -> None:
    victim = stack.group()["Instances"][0]["InstanceId"]

    def process() -> int | None:
        machines = httpx.get(f"{stack.lab['url']}/lab/status").json()["parts"]["ElasticComputeCloud"]
        found: int | None = machines[victim]["pid"]
        return found

    with load(stack) as sent:
        killed = process()
        assert killed
        os.kill(killed, signal.SIGKILL)
        stack.wait_until(lambda: process() not in (None, killed))
    assert sent.result["failed"] > 0
