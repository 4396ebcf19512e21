"""Replacing instances by ones made of the same."""

from typing import Any

from prefect.client.schemas.objects import State

from flows.deploy_application import deploy_application
from flows.refresh_instances import refresh_instances
from tests.stack import Stack


def refresh(request: str, **parameters: Any) -> State[Any]:
    return refresh_instances("dev", request, return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def ids(stack: Stack) -> set[str]:
    return {one["InstanceId"] for one in stack.group()["Instances"]}


def test_every_instance_is_another_one_with_the_same_release(stack: Stack) -> None:
    before = ids(stack)
    assert refresh("INC-42").is_completed()
    assert not ids(stack) & before
    assert (stack.served(), stack.running_versions()) == ({"1.0.0"}, {"2"})


def test_the_same_request_is_carried_out_once_and_another_one_again(stack: Stack) -> None:
    assert refresh("INC-42").is_completed()
    once = ids(stack)
    assert refresh("INC-42").is_completed()
    assert ids(stack) == once
    assert refresh("INC-43").is_completed()
    assert not ids(stack) & once


def test_a_release_can_follow_a_refresh(stack: Stack) -> None:
    assert refresh("INC-42").is_completed()
    assert deploy_application("dev", stack.push("2.0.0"), bake_minutes=0, return_state=True).is_completed()  # type: ignore[call-overload]
    assert stack.served() == {"2.0.0"}


def test_a_request_without_a_proper_name_a_dry_run_and_an_unseen_plan_change_nothing(stack: Stack) -> None:
    before = ids(stack)
    assert "request" in str(refresh("what for?").result(raise_on_failure=False))
    assert refresh("INC-42", dry_run=True).is_completed()
    assert refresh("INC-42", approved_plan="0" * 12).is_cancelled()
    assert (ids(stack), stack.template_versions(), stack.refreshes()) == (before, [1], [])
