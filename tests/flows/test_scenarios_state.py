"""Drills of Terraform's state in an environment that Terraform built: cut off, and deleted."""

from typing import Any

import httpx
import pytest

from tasks import state_versions, terraform
from tasks.drill import Scenario
from tasks.scenarios_state import CORRUPT_STATE, LOST_STATE
from tasks.state_versions import StateVersion
from tests.drilling import (
    drill,
    kill_everywhere,
    last_journal,
    require_proven,
    require_red_and_undone,
    sabotaged,
    situation,
)

ATTEMPTS = 3
pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


def current() -> StateVersion:
    versions = state_versions.list_versions.fn(terraform.state_address("dev"))
    return next(one for one in versions if one.is_current)


def test_a_state_that_was_cut_off_is_what_it_was_again(built: dict[str, Any]) -> None:
    before = current()
    require_proven(drill("corrupt-state"))
    after = current()
    assert (after.digest, after.lineage) == (before.digest, before.lineage)
    assert after.serial > before.serial
    assert last_journal().traffic.failed == 0


def test_a_state_that_can_not_be_written_makes_the_drill_red_and_its_undo_mends_it(built: dict[str, Any]) -> None:
    before = current()

    def deny() -> None:
        fault = {"match": "s3:PutObject", "kind": "error", "code": "AccessDenied", "status": 403, "times": ATTEMPTS}
        httpx.post(f"{built['env']['AWS_ENDPOINT_URL']}/lab/faults", json=fault).raise_for_status()

    with sabotaged("corrupt-state", deny):
        require_red_and_undone(drill("corrupt-state"), "rollback-infrastructure ended Failed")
    assert (current().digest, current().lineage) == (before.digest, before.lineage)
    one = situation(CORRUPT_STATE)
    CORRUPT_STATE.method[0].undo(one)  # never begun: nothing to take back
    assert CORRUPT_STATE.steady(one) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("scenario", [CORRUPT_STATE, LOST_STATE], ids=lambda one: one.name)
def test_killed_at_every_task_boundary_the_state_is_what_it_was_again(
    built: dict[str, Any], built_environment: dict[str, str], scenario: Scenario
) -> None:
    before = current()
    kill_everywhere(scenario.name, built_environment)
    assert (current().digest, current().lineage) == (before.digest, before.lineage)
    assert scenario.steady(situation(scenario)) == []
