"""kill -9 at every task boundary and inside the waits of a rollout; the same run again ends as if nothing happened."""

from typing import Any

import pytest

from tests import killing
from tests.stack import Stack

DEPLOY = "flows.deploy_application"
pytestmark = pytest.mark.timeout(1200)


def parameters(image: str) -> dict[str, Any]:
    return {"environment": "dev", "image": image, "bake_minutes": 0}


def test_killed_at_every_task_boundary_a_rollout_ends_the_same_with_nothing_done_twice(
    stack: Stack, environment: dict[str, str]
) -> None:
    killing.kill_everywhere(DEPLOY, parameters(stack.push("2.0.0")), environment)
    assert (stack.served(), len(stack.running_versions())) == ({"2.0.0"}, 1)
    assert (len(stack.refreshes()), stack.template_versions()) == (1, [1, 2])


@pytest.mark.parametrize("pause", [1, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (0, 2))])
def test_killed_while_it_waits_a_rollout_is_attached_to(stack: Stack, environment: dict[str, str], pause: int) -> None:
    wanted = parameters(stack.push("2.0.0"))
    killing.run(f"sleep:{pause}", DEPLOY, wanted, environment)
    assert killing.run("never", DEPLOY, wanted, environment) == 0
    assert (stack.served(), len(stack.refreshes()), stack.template_versions()) == ({"2.0.0"}, 1, [1, 2])
