"""kill -9 at every task boundary of a rollout that fails; the same run again undoes it and is as red as the first."""

import pytest

from tests import killing
from tests.stack import Stack

DEPLOY = "flows.deploy_application"
MOST_BOUNDARIES = 40
FIRST_CHANGE = 7  # tasks before it only look, and are the same for every release
pytestmark = pytest.mark.timeout(1200)


def test_killed_at_every_task_boundary_of_an_undo_a_bad_release_is_undone_and_red(
    stack: Stack, environment: dict[str, str]
) -> None:
    for boundary in range(FIRST_CHANGE, MOST_BOUNDARIES):
        wanted = {"environment": "dev", "image": stack.push(f"3.{boundary}.0", "failing"), "bake_minutes": 0}
        killed = killing.run(f"call:{boundary}", DEPLOY, wanted, environment)
        if killed == killing.KILLED:
            assert killing.run("never", DEPLOY, wanted, environment) == 1, boundary
        assert (stack.served(), stack.running_versions()) == ({"1.0.0"}, {"1"}), boundary
        assert stack.template_versions() == [1], boundary
        if killed == 1:
            assert boundary > 10, "the kills did not reach the last task"
            return
    pytest.fail(f"more than {MOST_BOUNDARIES} task boundaries")
