"""Drills of a zone and of the standby in another: the application with a real database that has both."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import httpx
import pytest

from tasks import network_acls, scenarios, state_backend, terraform
from tasks.drill import Situation, Step
from tasks.errors import PreconditionFailed
from tasks.scenarios_zone import DATABASE_FAILOVER, LOST_ZONE
from tests import killing
from tests.drilling import (
    drill,
    kill_everywhere,
    last_journal,
    require_proven,
    require_red_and_undone,
    sabotaged,
    situation,
)
from tests.flows.conftest import reaching
from tests.flows.test_fail_over_database import DB, MARKER, create_database, failovers, instance, is_marked, zones
from tests.stack import Stack, build_stack

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def served(lab: dict[str, Any], prefect_server: str) -> Iterator[Stack]:
    """The application with its database, an instance in each of two zones; built once."""
    httpx.post(f"{lab['url']}/lab/reset", timeout=60).raise_for_status()
    with reaching(lab["env"]):
        clients: Callable[[str], Any] = boto3.session.Session().client
        made = build_stack(lab, clients, database=create_database)
        state_backend.ensure_state_bucket.fn(terraform.state_bucket())
        yield made


@pytest.fixture
def served_environment(served: Stack, prefect_server: str) -> dict[str, str]:
    """The variables of a run in a process of its own."""
    return killing.variables(served.lab["env"], prefect_server)


def acls(stack: Stack) -> set[str]:
    return set(network_acls.describe_acls.fn(tuple(stack.subnets)).values())


def test_the_standby_takes_over_and_the_procedure_proves_that_very_failover(served: Stack) -> None:
    before, count = zones(served), failovers(served)
    require_proven(drill("database-failover"))
    assert (zones(served), failovers(served), is_marked(served)) == (before[::-1], count + 1, False)
    assert last_journal().traffic.failed > 0


def test_a_failover_that_is_not_recognised_and_begun_again_makes_the_drill_red(served: Stack) -> None:
    before, count = zones(served), failovers(served)

    def forget() -> None:
        served.wait_until(lambda: zones(served) == before[::-1] and instance(served)["DBInstanceStatus"] == "available")
        served.clients("ssm").delete_parameter(Name=MARKER)

    with sabotaged("database-failover", forget):
        require_red_and_undone(drill("database-failover"), f"expected it in {before[1]}")
    assert (zones(served), failovers(served), is_marked(served)) == (before, count + 2, False)


def test_killed_at_every_task_boundary_there_is_one_failover(served: Stack, served_environment: dict[str, str]) -> None:
    before, count = zones(served), failovers(served)
    kill_everywhere("database-failover", served_environment)
    assert (zones(served), failovers(served), is_marked(served)) == (before[::-1], count + 1, False)


def heal(stack: Stack) -> None:
    """An instance that was launched into the lost zone got no image: it goes when its grace is over, or now."""
    found = stack.clients("elbv2").describe_target_health(TargetGroupArn=stack.target_group)
    sick = [t["Target"]["Id"] for t in found["TargetHealthDescriptions"] if t["TargetHealth"]["State"] != "healthy"]
    if sick:
        stack.clients("ec2").terminate_instances(InstanceIds=sick)
    stack.wait_until_serving(2)


def test_without_a_zone_the_other_serves_and_the_zone_comes_back(served: Stack) -> None:
    lost, before = zones(served)[0], acls(served)
    require_proven(drill("lost-zone"))
    assert last_journal().radius.targets[0].id == lost
    assert zones(served)[0] != lost
    assert acls(served) == before
    asked = [{"Name": "tag-key", "Values": ["Name"]}]
    assert served.clients("ec2").describe_network_acls(Filters=asked)["NetworkAcls"] == []
    heal(served)


def test_killed_at_every_task_boundary_the_zone_comes_back(served: Stack, served_environment: dict[str, str]) -> None:
    before = acls(served)
    kill_everywhere("lost-zone", served_environment)
    assert acls(served) == before
    heal(served)


def test_without_any_zone_the_drill_is_red_and_both_come_back(served: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    before, impatient = acls(served), replace(LOST_ZONE.abort, after_seconds=20)

    def do(one: Situation) -> None:
        network_acls.cut_off_subnets(tuple(served.subnets), one.name)

    def undo(one: Situation) -> None:
        network_acls.connect_subnets(dict.fromkeys(served.subnets, *before), one.name)

    worse = replace(LOST_ZONE, method=(*LOST_ZONE.method, Step("the other one too", do, undo)), abort=impatient)
    monkeypatch.setitem(scenarios.SCENARIOS, "lost-zone", worse)
    require_red_and_undone(drill("lost-zone"), "requests to")
    assert acls(served) == before
    served.wait_until(lambda: not LOST_ZONE.steady(situation(LOST_ZONE)))


def test_where_nothing_would_be_left_the_drills_refuse(served: Stack) -> None:
    served.clients("rds").modify_db_instance(DBInstanceIdentifier=DB, MultiAZ=False, ApplyImmediately=True)
    served.wait_until(lambda: not instance(served)["MultiAZ"])
    with pytest.raises(PreconditionFailed, match="Single-AZ"):
        situation(DATABASE_FAILOVER)
    one = situation(LOST_ZONE)
    assert one.targets[0].id != instance(served)["AvailabilityZone"]
    for step in LOST_ZONE.method:
        step.undo(one)  # never begun: nothing to take back
