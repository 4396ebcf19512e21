"""A worker that is lost in the middle of a change: flows.mark_crashed finds the run, and the same run goes on."""

from typing import Any

import pytest

from tests.orchestrated import Api, lose, running_worker
from tests.stack import Stack

pytestmark = [pytest.mark.lab, pytest.mark.exhaustive]  # three minutes of silence each

BEGIN_SECONDS = 300  # of a process that a worker starts on a busy machine


def in_the_middle(stack: Stack) -> bool:
    return any(one["Status"] == "InProgress" and one["PercentageComplete"] > 0 for one in stack.refreshes())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("deployment", ["deploy-application/dev", "refresh-instances/dev"])
def test_a_worker_that_is_killed_in_the_middle_of_a_change_is_noticed_and_the_same_run_ends_well(
    orchestrated: dict[str, str], stack: Stack, deployment: str
) -> None:
    api, environment = Api(orchestrated), {**orchestrated, **stack.lab["env"]}
    before = {one["InstanceId"] for one in stack.group()["Instances"]}
    with running_worker(environment) as worker:
        run = api.start(deployment, **asked(stack, deployment))
        stack.wait_until(lambda: in_the_middle(stack), BEGIN_SECONDS)
        lose(worker)
    assert api.run(run)["state_type"] == "RUNNING"
    with running_worker(environment):
        ended = api.wait_for(run, "COMPLETED", seconds=600, never=("FAILED", "CANCELLED"))
    assert ended["run_count"] == 2
    states = [one["name"] for one in api.get(f"/flow_run_states/?flow_run_id={run}")]
    assert "Crashed" in states
    assert "AwaitingRetry" in states
    (refresh,) = stack.refreshes()
    assert refresh["Status"] == "Successful"
    after = {one["InstanceId"] for one in stack.group()["Instances"]}
    assert len(after) == len(before)
    assert not after & before
    assert stack.template_versions() == [1, 2]
    assert stack.served() == {"2.0.0" if "deploy" in deployment else "1.0.0"}
    (marked,) = (one for one in api.runs_of("mark-crashed/all") if one["parameters"] == {"run": run})
    assert "marked as crashed" in api.report(marked["id"])


def asked(stack: Stack, deployment: str) -> dict[str, Any]:
    if deployment.startswith("refresh"):
        return {"request": "INC-42", "bake_minutes": 0}
    return {"image": stack.push("2.0.0"), "bake_minutes": 0}
