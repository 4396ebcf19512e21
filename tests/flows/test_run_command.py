"""Commands on instances: every one answers, and one that does not is named."""

from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.run_command import run_command
from flows.show_instances import show_instances
from tests import killing
from tests.stack import Stack, publish_ami

COUNT = "cat /tmp/visits 2>/dev/null || true"


@pytest.fixture(autouse=True)
def _online(stack: Stack) -> None:
    ssm = stack.clients("ssm")
    stack.wait_until(lambda: len(ssm.describe_instance_information()["InstanceInformationList"]) == 2)


def run(*commands: str, **parameters: Any) -> State[Any]:
    return run_command("dev", list(commands), return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def outputs(stack: Stack, state: State[Any]) -> dict[str, str]:
    """What each instance printed, as SSM keeps it."""
    found = stack.clients("ssm").list_command_invocations(CommandId=message(state), Details=True)
    return {one["InstanceId"]: one["CommandPlugins"][0]["Output"].strip() for one in found["CommandInvocations"]}


def test_every_instance_runs_it_and_its_answer_is_kept(stack: Stack) -> None:
    state = run("curl -fsS http://localhost:5000/health", "echo done")
    assert state.is_completed()
    ids = {one["InstanceId"] for one in stack.group()["Instances"]}
    found = outputs(stack, state)
    assert set(found) == ids
    assert all(one in found[one] and found[one].endswith("done") for one in ids)


def test_a_command_that_fails_on_one_instance_is_red_and_names_it(stack: Stack) -> None:
    bad = stack.group()["Instances"][0]["InstanceId"]
    state = run(f"curl -fsS http://localhost:5000/health | grep -v {bad}", max_errors="2")
    assert state.is_failed()
    assert "succeeded on 1 instances, expected all" in message(state)
    assert bad in message(state)


def test_after_too_many_errors_no_further_instance_begins(stack: Stack) -> None:
    state = run("date >> /tmp/visits; exit 1", max_concurrency="1", max_errors="0")
    assert state.is_failed()
    visited = outputs(stack, run(COUNT))
    assert sorted(bool(lines) for lines in visited.values()) == [False, True]


def test_an_instance_that_ssm_does_not_reach_is_named_and_nothing_runs(stack: Stack) -> None:
    lost = stack.group()["Instances"][0]["InstanceId"]
    ssm = stack.clients("ssm")
    ssm.send_command(
        InstanceIds=[lost],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["systemctl stop amazon-ssm-agent"]},
    )
    asked = [{"Key": "InstanceIds", "Values": [lost]}]
    stack.wait_until(
        lambda: ssm.describe_instance_information(Filters=asked)["InstanceInformationList"][0]["PingStatus"] != "Online"
    )
    state = run("date >> /tmp/visits")
    assert state.is_failed()
    assert lost in message(state)
    assert "Nothing was run" in message(state)


def test_a_wrong_wish_is_refused_by_name(stack: Stack) -> None:
    for wish, named in (
        ({"commands": []}, "commands"),
        ({"commands": ["uptime"], "max_concurrency": "0"}, "max_concurrency"),
        ({"commands": ["uptime"], "timeout_seconds": 1}, "timeout_seconds"),
    ):
        assert named in message(run_command("dev", return_state=True, **wish))  # type: ignore[call-overload]
    assert stack.clients("ssm").list_commands()["Commands"] == []


def test_killed_at_every_task_boundary_every_instance_has_run_it_once(
    stack: Stack, environment: dict[str, str]
) -> None:
    wanted = {"environment": "dev", "commands": ["echo killed >> /tmp/visits"]}
    killing.kill_everywhere("flows.run_command", wanted, environment)
    visited = outputs(stack, run(COUNT))
    assert [lines.split().count("killed") for lines in visited.values()] == [1, 1]


def test_the_instances_are_shown_with_what_they_run_and_miss(stack: Stack) -> None:
    publish_ami(stack, "CVE-2026-0001")
    shown = message(show_instances("dev", return_state=True))  # type: ignore[call-overload]
    for instance in stack.group()["Instances"]:
        assert instance["InstanceId"] in shown
        assert instance["AvailabilityZone"] in shown
    assert shown.count("CVE-2026-0001") == 2
    assert shown.count('"target": "healthy"') == 2
