"""kill -9 at every task boundary of a rollout that fails; the same run again undoes it and is as red as the first."""

import pytest

from tests import killing
from tests.stack import Stack

DEPLOY = "flows.deploy_application"
THERE_AND_BACK = 2
pytestmark = pytest.mark.timeout(1200)


def test_killed_at_every_task_boundary_of_an_undo_a_bad_release_is_undone_and_red(
    stack: Stack, environment: dict[str, str]
) -> None:
    wanted = {"environment": "dev", "image": stack.push("3.0.0", "failing"), "bake_minutes": 0}
    killing.kill_everywhere(DEPLOY, wanted, environment, ends=1)
    assert (stack.served(), stack.running_versions()) == ({"1.0.0"}, {"1"})
    assert stack.template_versions() == [1]
    assert len(stack.refreshes()) <= THERE_AND_BACK
