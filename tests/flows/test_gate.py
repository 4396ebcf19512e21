"""The gate before a change and between its batches, as its operator meets it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.deploy_application import deploy_application
from flows.rollback_application import rollback_application
from flows.run_command import run_command
from tasks import change_calendar, incident
from tasks.environment import PROJECT
from tasks.incident import Incident
from tasks.on_call import Priority
from tests.stack import Stack, mirror_as_prod

FREEZE = """
window: {{day: Sun, opens: "02:00", minutes: 180}}
freezes:
  - {{from: {begins:%Y-%m-%dT%H:%M:%SZ}, until: {ends:%Y-%m-%dT%H:%M:%SZ}, environments: [dev], because: an audit}}
"""


def deploy(image: str, environment: str = "dev", **parameters: Any) -> State[Any]:
    return deploy_application(environment, image, bake_minutes=0, return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def open_incident(priority: Priority, name: str = "INC-7") -> Incident:
    return incident.keep(Incident(name, "dev", priority, "checkout fails", incident.now()))


@pytest.fixture
def _frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, now = tmp_path / "calendar.yaml", datetime.now(UTC)
    file.write_text(FREEZE.format(begins=now - timedelta(hours=1), ends=now + timedelta(hours=1)))
    monkeypatch.setattr(change_calendar, "DATA", file)


@pytest.mark.usefixtures("_frozen")
def test_a_freeze_refuses_a_release_unless_somebody_says_why_and_that_is_written_down(stack: Stack) -> None:
    image = stack.push("2.0.0")
    refused = deploy(image)
    assert refused.is_failed()
    assert "changes are frozen until" in message(refused)
    assert "--despite" in message(refused)
    assert stack.template_versions() == [1]
    assert deploy(image, despite="INC-7: this is the fix").is_completed()
    assert stack.served() == {"2.0.0"}
    found = stack.clients("ssm").get_parameter(Name=f"/{PROJECT}/dev/gate-override")["Parameter"]["Value"]
    said = json.loads(found)
    assert said["because"] == "INC-7: this is the fix"
    assert "deploy-application" in said["caller"]
    assert "an audit" in said["refused"][0]


def test_an_open_incident_refuses_a_release_but_not_the_way_back(stack: Stack) -> None:
    assert deploy(stack.push("2.0.0")).is_completed()
    mine = open_incident("P1")
    refused = deploy(stack.push("3.0.0"))
    assert "P1 incident INC-7, checkout fails" in message(refused)
    assert stack.served() == {"2.0.0"}
    back = rollback_application("dev", to=stack.push("1.0.0"), compare_with_terraform=False, return_state=True)  # type: ignore[call-overload]
    assert (stack.served(), back.is_completed()) == ({"1.0.0"}, True), message(back)
    incident.keep(mine, resolved_at=incident.now())
    assert deploy(stack.push("3.0.0")).is_completed()


def test_what_is_not_urgent_makes_a_rollout_gentler_than_planned(stack: Stack) -> None:
    open_incident("P3")
    assert deploy(stack.push("2.0.0"), batch_percentage=100).is_completed()
    (refresh,) = stack.refreshes()
    assert refresh["Preferences"]["MaxHealthyPercentage"] == 150  # one of two at a time, not both
    assert refresh["Preferences"]["BakeTime"] == 600


def test_an_incident_that_is_opened_between_batches_undoes_the_rollout(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_open, looks = incident.find_open, []

    def opened_at_the_fifth_look(environment: str) -> tuple[Incident, ...]:
        looks.append(1)
        if len(looks) == 5:
            open_incident("P2", "INC-8")
        return find_open(environment)

    monkeypatch.setattr(incident, "find_open", opened_at_the_fifth_look)
    state = deploy(stack.push("2.0.0"))
    assert state.is_failed()
    assert "P2 incident INC-8" in message(state)
    assert (stack.served(), stack.template_versions()) == ({"1.0.0"}, [1])


def test_production_is_held_to_what_users_were_promised(stack: Stack) -> None:
    mirror_as_prod(stack.clients)
    dimensions = [{"Name": "LoadBalancer", "Value": stack.balancer.partition(":loadbalancer/")[2]}]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": "Count"}
        for name, value in (("RequestCount", 1000), ("HTTPCode_Target_5XX_Count", 40))
    ]
    stack.clients("cloudwatch").put_metric_data(Namespace="AWS/ApplicationELB", MetricData=data)
    refused = deploy(stack.push("2.0.0"), "prod")
    assert "error budget: it burns" in message(refused)
    assert stack.template_versions() == [1]


def test_in_production_nothing_risky_is_done_without_a_proven_backup(stack: Stack) -> None:
    mirror_as_prod(stack.clients)
    stack.clients("s3").create_bucket(
        Bucket=f"{PROJECT}-dev-database-backups-123456789012",
        CreateBucketConfiguration={"LocationConstraint": "eu-north-1"},
    )
    plan = run_command("prod", ["uptime"], dry_run=True)
    refused = run_command("prod", ["uptime"], approved_plan=plan, return_state=True)  # type: ignore[call-overload]
    assert "proven backup: none was ever proven: python -m flows.verify_backup" in message(refused)
    assert run_command("prod", ["uptime"], approved_plan=plan, despite="INC-9", return_state=True).is_completed()  # type: ignore[call-overload]
