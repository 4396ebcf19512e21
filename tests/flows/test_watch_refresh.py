"""A refresh that somebody else started is followed to its end, and its end is told as it is."""

from typing import Any

from flows.watch_refresh import watch_refresh
from tests.stack import Stack


def watch() -> Any:
    return watch_refresh("dev", return_state=True)  # type: ignore[call-overload]


def start(stack: Stack) -> None:
    stack.clients("autoscaling").start_instance_refresh(
        AutoScalingGroupName=stack.asg, Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}
    )


def test_it_is_green_only_for_a_refresh_that_was_successful(stack: Stack) -> None:
    assert "never had an instance refresh" in str(watch().result(raise_on_failure=False))
    start(stack)
    watched = watch()
    assert (watched.is_completed(), watched.result()) == (True, "Successful")
    start(stack)
    stack.clients("autoscaling").cancel_instance_refresh(AutoScalingGroupName=stack.asg)
    cancelled = watch()
    assert cancelled.is_failed()
    assert "Cancelled" in str(cancelled.result(raise_on_failure=False))
