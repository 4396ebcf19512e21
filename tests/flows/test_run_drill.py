"""Drills in the lab: proven when the environment recovers, red when it was kept from it, and nothing of them stays."""

import base64
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State

from flows.run_drill import run_drill
from tasks import drill_journal, state_backend, terraform
from tasks.drill import Scenario, Situation
from tasks.environment import PROJECT
from tasks.kinds import ACTION_RETRIES
from tasks.scenarios import SCENARIOS
from tests.stack import Stack

DENIALS = ACTION_RETRIES + 1
REPORT = "artifacts/run-drill-dev/latest"


pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def stack(stack: Stack) -> Stack:
    state_backend.ensure_state_bucket.fn(terraform.state_bucket())
    return stack


def drill(scenario: str, **parameters: Any) -> State[Any]:
    return run_drill(scenario, return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def tags(stack: Stack) -> set[str]:
    """Of all images in the registry."""
    found = stack.clients("ecr").describe_images(repositoryName=PROJECT)["imageDetails"]
    return {tag for image in found for tag in image.get("imageTags", [])}


def ids(stack: Stack) -> set[str]:
    return {one["InstanceId"] for one in stack.group()["Instances"]}


def test_each_scenario_is_proven_and_leaves_what_was_there(stack: Stack, prefect_server: str) -> None:
    before = ids(stack)
    assert drill("lost-instance").is_completed()
    assert len(ids(stack) & before) == len(before) - 1
    stack.wait_until_serving(len(before))

    before = ids(stack)
    assert drill("bad-release").is_completed()
    assert (ids(stack), tags(stack), stack.template_versions()) == (before, {"1.0.0"}, [1])
    assert [one["Status"] for one in stack.refreshes()] == ["RollbackSuccessful"]

    assert drill("orchestrator-lost").is_completed()
    assert not ids(stack) & before
    assert (len(stack.refreshes()), len(stack.template_versions())) == (2, 2)
    assert stack.served() == {"1.0.0"}

    journals = drill_journal.list_journals.fn("dev")
    assert [(one.outcome, one.failures) for one in journals] == [("proven", [])] * 3
    assert all(one.undone == one.begun for one in journals)
    page = httpx.get(f"{prefect_server}/{REPORT}").raise_for_status().json()["data"]
    assert re.search(r"next drill: [\w-]+, never proven", page)
    took = [float(one) for one in re.findall(r"\| (?:detect|decide|recover|verify) \| ([\d.]+) s \|", page)]
    (rto,) = re.findall(r"\| RTO, target 3600 s \| ([\d.]+) s \|", page)
    assert (len(took), round(sum(took), 3)) == (4, float(rto))
    (picture,) = re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)
    assert "RTO of orchestrator-lost" in base64.b64decode(picture).decode()


class TestSabotaged:
    """The same scenarios, kept from recovering: each is red, says why, and is taken back."""

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, one in SCENARIOS.items():
            monkeypatch.setitem(SCENARIOS, name, replace(one, abort=replace(one.abort, after_seconds=4)))

    def test_each_is_red_and_taken_back(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        before = ids(stack)
        stack.fault(match="autoscaling:RollbackInstanceRefresh", kind="error", code="AccessDenied", times=DENIALS)
        assert "expected it rolled back" in message(drill("bad-release"))
        assert (ids(stack), tags(stack), stack.template_versions()) == (before, {"1.0.0"}, [1])

        monkeypatch.setitem(SCENARIOS, "orchestrator-lost", done_again(SCENARIOS["orchestrator-lost"], stack))
        text = message(drill("orchestrator-lost"))
        assert "2 instance refreshes were started, expected one change, done once" in text
        stack.wait_until_serving(len(before))

        stack.clients("autoscaling").suspend_processes(AutoScalingGroupName=stack.asg, ScalingProcesses=["Launch"])
        assert "1 of 2 instances in service" in message(drill("lost-instance"))
        journals = drill_journal.list_journals.fn("dev")
        assert [one.outcome for one in journals] == ["failed"] * 3
        assert all(one.undone == one.begun for one in journals)


def done_again(one: Scenario, stack: Stack) -> Scenario:
    """After the recovery somebody replaces all instances once more."""

    def is_recovered(situation: Situation) -> list[str]:
        if len(stack.refreshes()) == len(before):
            stack.clients("autoscaling").start_instance_refresh(AutoScalingGroupName=stack.asg)
            stack.wait_until(lambda: stack.refreshes()[0]["Status"] == "Successful")
        return one.is_recovered(situation)

    before = [*stack.refreshes(), "the drill's"]
    return replace(one, is_recovered=is_recovered)
