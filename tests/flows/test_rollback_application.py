"""Rolling back: what serves afterwards, how far it goes, and which releases the schema forbids."""

import threading
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State

from flows.deploy_application import deploy_application
from flows.rollback_application import rollback_application
from tasks import instance_refresh
from tasks.rollout import plan_rollout
from tests.stack import Stack, begin_rollout


def roll_back(**parameters: Any) -> State[Any]:
    return rollback_application("dev", compare_with_terraform=False, return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def deploy(stack: Stack, version: str, behaviour: str = "good", **labels: str) -> str:
    """Roll a release out and have it proven; its digest."""
    image = stack.push(version, behaviour, **labels)
    assert deploy_application("dev", image, bake_minutes=0, batch_percentage=100, return_state=True).is_completed()  # type: ignore[call-overload]
    return image


def test_the_release_before_serves_again_and_a_second_rollback_goes_no_further(stack: Stack) -> None:
    deploy(stack, "1.0.0")
    deploy(stack, "2.0.0")
    deploy(stack, "3.0.0")
    assert roll_back().is_completed()
    assert (stack.served(), len(stack.running_versions())) == ({"2.0.0"}, 1)
    began = (len(stack.refreshes()), stack.template_versions())
    assert roll_back().is_completed()
    assert (stack.served(), len(stack.refreshes()), stack.template_versions()) == ({"2.0.0"}, *began)


def test_a_release_that_went_live_and_was_never_proven_is_replaced_by_the_last_proven_one(stack: Stack) -> None:
    deploy(stack, "1.0.0")
    deploy(stack, "2.0.0")
    refresh = begin_rollout(stack, stack.push("3.0.0", "failing"))
    assert instance_refresh.wait_until_ended.fn(refresh).status == "Successful"
    assert roll_back().is_completed()
    assert stack.served() == {"2.0.0"}


def test_an_unfinished_rollout_is_rolled_back_not_cancelled(stack: Stack) -> None:
    """D03: cancelling would leave two releases behind."""
    instances = {one["InstanceId"] for one in stack.group()["Instances"]}
    begin_rollout(stack, stack.push("2.0.0"), plan_rollout(2, 20, 120, 0))
    stack.wait_until(lambda: len({one["InstanceId"] for one in stack.group()["Instances"]} - instances) > 0)
    assert roll_back().is_completed()
    assert stack.refreshes()[0]["Status"] == "RollbackSuccessful"
    assert (stack.served(), stack.running_versions(), stack.template_versions()) == ({"1.0.0"}, {"1"}, [1])


def test_an_unfinished_rollout_taken_back_twice_ends_the_same(stack: Stack) -> None:
    begin_rollout(stack, stack.push("2.0.0"), plan_rollout(2, 20, 120, 0))
    assert roll_back().is_completed()
    assert roll_back().is_completed()
    assert (stack.served(), len(stack.refreshes()), stack.template_versions()) == ({"1.0.0"}, 1, [1])


def test_a_living_deployment_that_is_rolled_back_by_somebody_ends_red(stack: Stack) -> None:
    image, ended = stack.push("2.0.0"), []

    def run() -> None:
        ended.append(deploy_application("dev", image, bake_minutes=120, return_state=True))  # type: ignore[call-overload]

    deployment = threading.Thread(target=run)
    deployment.start()
    stack.wait_until(lambda: stack.refreshes() and stack.refreshes()[0]["Status"] == "Baking")
    assert roll_back().is_completed()
    deployment.join()
    assert ended[0].is_failed()
    assert (stack.served(), stack.running_versions(), stack.template_versions()) == ({"1.0.0"}, {"1"}, [1])


class TestTheSchema:
    """Each release says on which schema versions it runs; what can't start on today's is refused."""

    @pytest.fixture(autouse=True)
    def _releases(self, stack: Stack) -> None:
        deploy(stack, "1.0.0")
        deploy(stack, "2.0.0", SCHEMA="2")
        deploy(stack, "3.0.0", SCHEMA="2", OLDEST_SCHEMA="2")

    def test_a_release_too_old_for_it_is_refused_and_the_nearest_that_can_is_named(self, stack: Stack) -> None:
        refused = message(roll_back(to=stack.push("1.0.0")))
        assert "can't start on version 2" in refused
        assert stack.push("2.0.0") in refused
        assert stack.served() == {"3.0.0"}

    def test_one_that_can_is_taken_by_name(self, stack: Stack) -> None:
        assert roll_back(to=stack.push("2.0.0")).is_completed()
        assert stack.served() == {"2.0.0"}

    def test_one_that_does_not_say_is_refused(self, stack: Stack) -> None:
        assert "unknown versions" in message(roll_back(to=stack.push("0.9.0", SCHEMA="")))
        assert stack.served() == {"3.0.0"}


def test_without_an_earlier_release_nothing_is_done(stack: Stack) -> None:
    assert "no earlier release" in message(roll_back())
    assert (stack.template_versions(), stack.refreshes()) == ([1], [])


def test_an_unknown_release_and_a_plan_that_nobody_saw_change_nothing(stack: Stack) -> None:
    deploy(stack, "1.0.0")
    deploy(stack, "2.0.0")
    assert "has no image" in message(roll_back(to="sha256:" + "0" * 64))
    assert roll_back(approved_plan="0" * 12).is_cancelled()
    assert stack.served() == {"2.0.0"}


def test_the_report_names_the_commit_that_brings_the_release_back(stack: Stack, prefect_server: str) -> None:
    deploy(stack, "1.0.0")
    deploy(stack, "2.0.0", REVISION="0123456789abcdef0123456789abcdef01234567")
    assert roll_back().is_completed()
    report = httpx.get(f"{prefect_server}/artifacts/rollback-application-dev/latest").raise_for_status().json()["data"]
    assert "git revert --no-edit 0123456789abcdef0123456789abcdef01234567" in report
