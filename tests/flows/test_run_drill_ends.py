"""How a drill ends that something comes between: refused, aborted, cancelled, killed. What it broke is always undone.

The runner's tests break as little as possible: an SSM parameter stands for each thing that is broken.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prefect import flow
from prefect.client.schemas.objects import State

from flows.run_drill import RECOVERIES, run_drill
from flows.sweep_residue import sweep_residue
from tasks import approval, change_lock, drill_journal, drill_watch, state_backend, terraform
from tasks.drill import Abort, Change, Situation, Step
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed
from tasks.scenarios import SCENARIOS
from tests import killing
from tests.drilling import kill_everywhere
from tests.stack import Stack, mirror_as_prod

RUN_DRILL = "flows.run_drill"
BROKEN = "/broken"
SWITCH = f"/{PROJECT}/dev/{drill_watch.STOP}"
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def stack(stack: Stack) -> Stack:
    state_backend.ensure_state_bucket.fn(terraform.state_bucket())
    return stack


@pytest.fixture
def light(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a scenario of two steps in the place of lost-instance; its pieces can be replaced."""

    def change(**pieces: Any) -> None:
        one = replace(
            SCENARIOS["lost-instance"],
            method=(break_parameter(stack, "first"), break_parameter(stack, "second")),
            is_broken=lambda _: [] if len(broken(stack)) == 2 else ["not broken"],
            is_recovered=lambda _: [],
            abort=Abort(after_seconds=5),
        )
        monkeypatch.setitem(SCENARIOS, "lost-instance", replace(one, **pieces))

    change()
    return change


def break_parameter(stack: Stack, name: str, undo: Change = lambda _: None) -> Step:
    ssm = stack.clients("ssm")

    def put(_situation: Situation) -> None:
        ssm.put_parameter(Name=f"{BROKEN}/{name}", Value="broken", Type="String", Overwrite=True)

    def delete(situation: Situation) -> None:
        undo(situation)
        ssm.delete_parameters(Names=[f"{BROKEN}/{name}"])

    return Step(name, put, delete)


def broken(stack: Stack) -> set[str]:
    found = stack.clients("ssm").get_parameters_by_path(Path=BROKEN)["Parameters"]
    return {one["Name"].removeprefix(f"{BROKEN}/") for one in found}


def pull_switch(stack: Stack) -> None:
    stack.clients("ssm").put_parameter(Name=SWITCH, Value="customers call", Type="String", Overwrite=True)


def drill(scenario: str = "lost-instance", **parameters: Any) -> State[Any]:
    return run_drill(scenario, return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def outcomes() -> list[str]:
    return [one.outcome for one in drill_journal.list_journals.fn("dev")]


def test_a_dry_run_names_the_real_targets_and_refusals_change_nothing(stack: Stack, prefect_server: str) -> None:
    instances = {one["InstanceId"] for one in stack.group()["Instances"]}
    assert drill("suggested", dry_run=True).is_completed()
    page = httpx.get(f"{prefect_server}/artifacts/run-drill-dev/latest").raise_for_status().json()["data"]
    assert f"blast radius: EC2 instance {min(instances)} in dev" in page
    assert "suggested: lost-instance" in page
    assert "cost: estimated 0.02 USD" in page
    pull_switch(stack)
    assert "says 'customers call', expected no such parameter" in message(drill())
    stack.clients("ssm").delete_parameter(Name=SWITCH)
    assert drill(approved_plan="0" * 12).is_cancelled()
    stack.clients("autoscaling").set_desired_capacity(AutoScalingGroupName=stack.asg, DesiredCapacity=1)
    stack.wait_until_serving(1)
    assert "to end the last one is an outage" in message(drill())
    assert {one["InstanceId"] for one in stack.group()["Instances"]} < instances
    alarm = stack.raise_alarm()
    assert alarm in message(drill())
    assert outcomes() == []


def test_in_prod_a_person_approves_the_plan(
    stack: Stack, light: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_as_prod(stack.clients)
    monkeypatch.setattr(approval, "WAIT_SECONDS", 1)
    refused = drill(environment="prod")
    assert (refused.is_cancelled(), broken(stack)) == (True, set())
    plan = run_drill("lost-instance", "prod", dry_run=True)
    assert drill(environment="prod", approved_plan=plan).is_completed()
    assert [one.outcome for one in drill_journal.list_journals.fn("prod")] == ["proven"]


def test_each_abort_and_each_failure_undoes_in_reverse_and_is_red(
    stack: Stack, light: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    undone: list[str] = []
    steps = tuple(break_parameter(stack, one, lambda _, one=one: undone.append(one)) for one in ("first", "second"))  # type: ignore[misc]

    light(method=steps, is_recovered=lambda _: ["not yet"])
    assert "not yet: expected it to heal by itself by now" in message(drill())
    assert (undone, broken(stack)) == (["second", "first"], set())

    light(method=steps, is_broken=lambda _: ["nothing broke"])
    assert "nothing broke: expected the fault to show by now" in message(drill())

    light(method=steps, rto_seconds=0.001)
    assert "(RTO)" in message(drill())

    light(method=steps, is_recovered=lambda _: (pull_switch(stack), ["not yet"])[1])
    assert "aborted, because kill switch" in message(drill())
    stack.clients("ssm").delete_parameter(Name=SWITCH)

    light(method=steps, is_recovered=lambda _: (stack.raise_alarm(), ["not yet"])[1])
    assert "demo-flask-app-dev-drill fires, expected only none" in message(drill())
    assert (undone, broken(stack)) == (["second", "first"] * 5, set())
    assert outcomes() == ["failed"] * 5


def test_what_could_not_be_undone_stays_unfinished_until_the_next_drill_or_a_sweep(
    stack: Stack, light: Callable[..., None]
) -> None:
    def deny(_situation: Situation) -> None:
        raise PreconditionFailed("it is stuck")

    light(method=(break_parameter(stack, "first"), break_parameter(stack, "second", deny)))
    assert "not undone: second: it is stuck" in message(drill())
    assert (broken(stack), outcomes()) == ({"second"}, ["unfinished"])
    assert drill(dry_run=True).is_completed()
    assert sweep_residue("dev", return_state=True).is_failed()  # type: ignore[call-overload]
    assert (broken(stack), outcomes()) == ({"second"}, ["unfinished"])
    light()
    assert drill().is_completed()
    assert (broken(stack), outcomes()) == (set(), ["failed", "proven"])


def test_what_takes_a_procedure_to_be_undone_is_named_by_a_sweep_and_mended_by_the_next_drill(
    stack: Stack, light: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    @flow(name="mend")
    def mend(environment: str) -> None:
        stack.clients("ssm").delete_parameters(Names=[f"{BROKEN}/first"])

    def start(situation: Situation) -> None:
        if broken(stack):
            situation.start("mend", {"environment": "dev"})

    step = replace(break_parameter(stack, "first"), undo=start)
    light(method=(step,), is_broken=lambda _: ["nothing broke"])
    assert "not undone: first: 'mend'" in message(drill())  # nobody has such a procedure yet
    swept = sweep_residue("dev", return_state=True)  # type: ignore[call-overload]
    assert swept.is_failed()
    assert "Run: python -m flows.mend --environment dev" in message(swept)
    assert (broken(stack), outcomes()) == ({"first"}, ["unfinished"])
    monkeypatch.setitem(RECOVERIES, "mend", mend)
    light(method=(step,), is_broken=lambda _: [])
    assert drill().is_completed()
    assert (broken(stack), outcomes()) == (set(), ["failed", "proven"])


def test_a_cancelled_drill_is_undone(stack: Stack, environment: dict[str, str]) -> None:
    stack.clients("autoscaling").suspend_processes(AutoScalingGroupName=stack.asg, ScalingProcesses=["Launch"])
    command = [sys.executable, "-m", RUN_DRILL, "--scenario", "lost-instance"]
    run = subprocess.Popen(command, env={**os.environ, **environment})
    stack.wait_until(lambda: any(one.has("decided") for one in drill_journal.list_journals.fn("dev")))
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) != 0
    (journal,) = drill_journal.list_journals.fn("dev")
    assert (journal.outcome, journal.undone) == ("failed", ["end an instance"])


@pytest.mark.exhaustive
@pytest.mark.parametrize("scenario", ["lost-instance", "bad-release", "orchestrator-lost"])
def test_killed_at_each_task_boundary_a_drill_goes_on_and_leaves_nothing(
    stack: Stack, environment: dict[str, str], scenario: str
) -> None:
    kill_everywhere(scenario, environment)
    assert not any(tag.startswith("drill-") for tag in tags(stack))
    stack.wait_until_serving(2)
    assert stack.served() == {"1.0.0"}
    assert len(stack.running_versions()) == 1
    assert change_lock.is_free("dev")


@pytest.mark.parametrize("ends_by", ["sweep", "drill"])
def test_a_killed_drill_that_nobody_starts_again_is_undone_by_the_next_one_or_a_sweep(
    stack: Stack, environment: dict[str, str], ends_by: str
) -> None:
    killed = killing.run("before:wait_until_refreshed", RUN_DRILL, {"scenario": "bad-release"}, environment)
    assert killed == killing.KILLED
    assert sweep_residue("dev", return_state=True).is_completed()  # type: ignore[call-overload]
    assert outcomes() == ["unfinished"]  # its lease has not run out: it may still live
    killing.let_lease_run_out()
    if ends_by == "sweep":
        assert sweep_residue("dev", return_state=True).is_completed()  # type: ignore[call-overload]
    else:
        assert drill().is_completed()
    assert outcomes() == ["failed", "proven"][: 1 if ends_by == "sweep" else 2]
    assert (tags(stack), stack.template_versions(), stack.served()) == ({"1.0.0"}, [1], {"1.0.0"})


def tags(stack: Stack) -> set[str]:
    found = stack.clients("ecr").describe_images(repositoryName=PROJECT)["imageDetails"]
    return {tag for image in found for tag in image.get("imageTags", [])}
