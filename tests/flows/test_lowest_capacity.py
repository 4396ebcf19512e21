"""N18, D19: how few instances serve while a group is replaced, predicted and observed, by size."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tasks.rollout import lowest_capacity, plan_rollout
from tests.stack import Stack, build_stack

RUNBOOK = {"MinHealthyPercentage": 90}  # as the runbook writes it: no MaxHealthyPercentage


def replace_and_observe(stack: Stack, preferences: dict[str, int]) -> int:
    """Refresh the group with these preferences; the fewest instances that were in service and healthy meanwhile."""
    seen, ended = [], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            serving = [i for i in stack.group()["Instances"] if (i["LifecycleState"], i["HealthStatus"]) == GOOD]
            seen.append(len(serving))

    watcher = threading.Thread(target=watch)
    watcher.start()
    stack.clients("autoscaling").start_instance_refresh(
        AutoScalingGroupName=stack.asg, Preferences={"InstanceWarmup": 0, "SkipMatching": False, **preferences}
    )
    try:
        stack.wait_until(lambda: stack.refreshes()[0]["Status"] == "Successful")
    finally:
        ended.set()
        watcher.join()
    return min(seen)


GOOD = ("InService", "Healthy")


@pytest.mark.parametrize(
    ("size", "at_worst"),
    [(1, 0), (2, 1), *(pytest.param(*one, marks=pytest.mark.exhaustive) for one in ((3, 2), (5, 4))), (10, 9)],
)
def test_the_lowest_capacity_is_the_predicted_one(
    account: dict[str, Any], client: Callable[[str], Any], size: int, at_worst: int
) -> None:
    stack = build_stack(account, client, size)
    assert lowest_capacity(size, 90, None) == at_worst
    assert replace_and_observe(stack, RUNBOOK) == at_worst
    ours = plan_rollout(size, 50, 0, 0)
    wish = {
        "MinHealthyPercentage": ours.min_healthy_percentage,
        "MaxHealthyPercentage": ours.max_healthy_percentage,
    }
    stack.wait_until_serving(size)
    assert replace_and_observe(stack, wish) == ours.lowest_capacity == size
