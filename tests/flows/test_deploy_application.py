"""Rolling out a release: what users see, what AWS holds afterwards, and what is refused."""

import os
import re
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State

from flows.deploy_application import deploy_application
from tasks import instance_refresh
from tests.stack import Stack, begin_rollout


def deploy(image: str, **parameters: Any) -> State[Any]:
    return deploy_application("dev", image, bake_minutes=0, return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def test_every_instance_serves_the_new_release(stack: Stack) -> None:
    assert deploy(stack.push("2.0.0")).is_completed()
    assert stack.served() == {"2.0.0"}
    assert stack.running_versions() == {"2"}
    assert stack.group()["LaunchTemplate"]["Version"] == "2"


def test_deploying_the_same_release_again_changes_nothing(stack: Stack) -> None:
    image = stack.push("2.0.0")
    assert deploy(image).is_completed()
    instances = {i["InstanceId"] for i in stack.group()["Instances"]}
    assert deploy(image).is_completed()
    assert {i["InstanceId"] for i in stack.group()["Instances"]} == instances
    assert (stack.calls("autoscaling:StartInstanceRefresh"), stack.template_versions()) == (1, [1, 2])


def test_a_dry_run_changes_nothing(stack: Stack) -> None:
    assert deploy(stack.push("2.0.0"), dry_run=True).is_completed()
    assert (stack.template_versions(), stack.refreshes()) == ([1], [])


@pytest.mark.parametrize("behaviour", ["sick", "silent"])
def test_a_release_that_never_gets_healthy_is_undone_and_red(stack: Stack, behaviour: str) -> None:
    state = deploy(stack.push("3.0.0", behaviour))
    assert state.is_failed()
    assert "serves the version before again" in message(state)
    assert (stack.served(), stack.running_versions(), stack.template_versions()) == ({"1.0.0"}, {"1"}, [1])


def test_a_release_that_is_healthy_but_fails_its_users_is_undone(stack: Stack) -> None:
    state = deploy(stack.push("4.0.0", "failing"))
    assert state.is_failed()
    assert "/ready failed" in message(state)
    assert (stack.served(), stack.running_versions(), stack.template_versions()) == ({"1.0.0"}, {"1"}, [1])


def test_a_release_that_fails_its_users_and_went_live_while_nobody_watched_is_undone(stack: Stack) -> None:
    """What is left of a run that was killed behind StartInstanceRefresh, long before anybody starts it again."""
    image = stack.push("4.0.0", "failing")
    assert instance_refresh.wait_until_ended.fn(begin_rollout(stack, image)).status == "Successful"
    state = deploy(image)
    assert state.is_failed()
    assert "/ready answered" in message(state)
    assert (stack.served(), stack.running_versions(), stack.template_versions()) == ({"1.0.0"}, {"1"}, [1])


def test_of_two_deployments_started_at_once_one_is_carried_out_and_the_other_refused(
    stack: Stack, environment: dict[str, str]
) -> None:
    images = {version: stack.push(version) for version in ("2.0.0", "3.0.0")}
    command = [sys.executable, "-m", "flows.deploy_application", "--environment", "dev", "--bake-minutes", "0"]
    runs = {
        version: subprocess.Popen(
            [*command, "--image", image], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
        )
        for version, image in images.items()
    }
    told = {version: run.communicate(timeout=300)[1] for version, run in runs.items()}
    ended = {run.returncode: version for version, run in runs.items()}
    assert set(ended) == {0, 1}, told
    assert (stack.served(), stack.running_versions()) == ({ended[0]}, {"2"})
    assert (len(stack.refreshes()), stack.template_versions()) == (1, [1, 2])
    assert "expected" in told[ended[1]]


def test_a_rollout_that_never_ends_is_undone_and_red(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_refresh, "SHORTEST_TIMEOUT_SECONDS", 4)
    monkeypatch.setattr(instance_refresh, "PATIENCE", 0)
    stack.clients("autoscaling").suspend_processes(AutoScalingGroupName=stack.asg, ScalingProcesses=["Launch"])
    instances = {i["InstanceId"] for i in stack.group()["Instances"]}
    state = deploy(stack.push("2.0.0"))
    assert state.is_failed()
    assert "expected 'Successful'" in message(state)
    assert {i["InstanceId"] for i in stack.group()["Instances"]} == instances
    assert (stack.served(), stack.template_versions()) == ({"1.0.0"}, [1])


def test_a_failed_release_s_report_says_how_long_users_met_it(stack: Stack, prefect_server: str) -> None:
    assert deploy(stack.push("4.0.0", "failing")).is_failed()
    report = httpx.get(f"{prefect_server}/artifacts/deploy-application-dev/latest").raise_for_status().json()
    assert re.search(r"every request was served by the version before \d+\.\d s after the failure", report["data"])


def test_after_a_failed_release_a_good_one_can_follow(stack: Stack) -> None:
    assert deploy(stack.push("3.0.0", "sick")).is_failed()
    assert deploy(stack.push("2.0.0")).is_completed()
    assert stack.served() == {"2.0.0"}


def test_an_alarm_during_the_rollout_undoes_it(stack: Stack) -> None:
    image = stack.push("2.0.0")
    alarm = threading.Timer(4.0, stack.raise_alarm)
    alarm.start()
    state = deploy_application("dev", image, bake_minutes=30, return_state=True)  # type: ignore[call-overload]
    alarm.join()
    assert state.is_failed()
    assert stack.running_versions() == {"1"}
    assert stack.served() == {"1.0.0"}


class TestRefusals:
    """Bad input gets a clear error and changes nothing."""

    @pytest.fixture(autouse=True)
    def _nothing_changes(self, stack: Stack) -> Any:
        instances = {i["InstanceId"] for i in stack.group()["Instances"]}
        yield
        assert {i["InstanceId"] for i in stack.group()["Instances"]} == instances
        assert stack.template_versions() == [1]

    def test_a_tag_is_refused_and_its_digest_named(self, stack: Stack) -> None:
        digest = stack.push("2.0.0")
        text = message(deploy("2.0.0"))
        assert "is a tag, expected a digest" in text
        assert digest in text

    def test_an_unknown_image_is_refused_and_the_newest_named(self, stack: Stack) -> None:
        text = message(deploy("sha256:" + "0" * 64))
        assert "has no image sha256:000" in text
        assert stack.images["1.0.0"].partition("@")[2] in text

    def test_an_unknown_environment_is_refused_by_name(self, stack: Stack) -> None:
        state = deploy_application("staging", stack.push("2.0.0"), return_state=True)  # type: ignore[call-overload]
        assert "environment" in message(state)

    def test_an_environment_that_was_never_built_is_refused(self, stack: Stack) -> None:
        state = deploy_application("prod", stack.push("2.0.0"), return_state=True)  # type: ignore[call-overload]
        assert "flows.deploy_infrastructure --environment prod" in message(state)

    def test_an_image_with_a_critical_finding_is_refused(self, stack: Stack) -> None:
        image = stack.push("5.0.0", FINDINGS="CRITICAL:CVE-2026-0001")
        assert "CVE-2026-0001" in message(deploy(image))

    def test_a_firing_critical_alarm_refuses_a_rollout(self, stack: Stack) -> None:
        assert stack.raise_alarm() in message(deploy(stack.push("2.0.0")))

    def test_a_protected_instance_is_named(self, stack: Stack) -> None:
        protected = stack.group()["Instances"][0]["InstanceId"]
        stack.clients("autoscaling").set_instance_protection(
            AutoScalingGroupName=stack.asg, InstanceIds=[protected], ProtectedFromScaleIn=True
        )
        assert protected in message(deploy(stack.push("2.0.0")))
