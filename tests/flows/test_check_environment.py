"""The check of everything: each thing that breaks is named, and what cannot be seen is not called well."""

import json
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State

from flows.check_environment import check_environment
from tasks import health
from tasks.environment import describe_environment
from tasks.finding import as_json
from tests.stack import Stack


@pytest.fixture
def verdicts(stack: Stack) -> Any:
    """What each component is found to be, without what this small stack does not have."""

    def look() -> dict[str, str]:
        environment = describe_environment.fn("dev")
        return {name: health.check_component.fn(name, environment).verdict for name in health.COMPONENTS}

    return look


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def test_a_missing_database_makes_the_run_red_and_is_named(stack: Stack) -> None:
    state = check_environment("dev", return_state=True)  # type: ignore[call-overload]
    assert state.is_failed()
    assert "there is no RDS instance demo-flask-app-dev-db" in message(state)


def test_what_works_is_ok_and_what_is_missing_is_not(verdicts: Any) -> None:
    found = verdicts()
    assert (found["targets"], found["auto scaling group"], found["application"]) == ("ok", "ok", "ok")
    assert (found["load balancer"], found["certificate"]) == ("ok", "ok")
    assert (found["dashboard"], found["database"]) == ("fail", "fail")
    assert found["log group"] == "warn"  # kept for ever


def test_a_dead_instance_is_seen(stack: Stack, verdicts: Any) -> None:
    stack.clients("autoscaling").suspend_processes(AutoScalingGroupName=stack.asg, ScalingProcesses=["Launch"])
    victim = stack.group()["Instances"][0]["InstanceId"]
    stack.clients("ec2").terminate_instances(InstanceIds=[victim])
    found = verdicts()
    while found["auto scaling group"] == "ok":
        found = verdicts()
    assert found["auto scaling group"] == "fail"


def test_a_service_that_does_not_answer_is_unknown_not_ok(stack: Stack, verdicts: Any) -> None:
    fault = {"match": "logs:DescribeLogGroups", "kind": "error", "code": "InternalFailure", "status": 500}
    httpx.post(f"{stack.lab['url']}/lab/faults", json=fault).raise_for_status()
    assert verdicts()["log group"] == "unknown"


def test_a_firing_critical_alarm_is_a_failure(stack: Stack, verdicts: Any) -> None:
    assert verdicts()["alarms"] == "ok"
    stack.raise_alarm()
    assert verdicts()["alarms"] == "fail"


def test_the_result_is_json_for_machines(stack: Stack) -> None:
    environment = describe_environment.fn("dev")
    found = json.loads(as_json([health.check_component.fn("targets", environment)]))
    assert found == [{"component": "targets", "verdict": "ok", "observed": "2 healthy"}]
