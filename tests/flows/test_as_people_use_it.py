"""A real server, worker and browser: flows.watch_alarms starts a diagnosis, and a form is filled, approved and read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import browsing
from tests.orchestrated import Api, running_worker
from tests.stack import Stack, mirror_as_prod

pytestmark = pytest.mark.lab
AUTOMATION_SECONDS = 120


@pytest.fixture
def api(orchestrated: dict[str, str], stack: Stack) -> Iterator[Api]:
    """With a worker that reaches the stack."""
    found = Api(orchestrated)
    with found.unscheduled(), running_worker({**orchestrated, **stack.lab["env"]}):
        yield found


def test_an_alarm_that_is_raised_starts_one_diagnosis_by_automation_however_often_it_is_seen(
    api: Api, stack: Stack
) -> None:
    alarm = stack.raise_alarm()
    for told in ("told", "told already"):
        watched = api.wait_for(api.start("watch-alarms/dev"), "COMPLETED")
        assert f"UTC: {told}\n" in api.report(watched["id"])
    stack.wait_until(lambda: diagnoses(api, alarm), AUTOMATION_SECONDS)
    (diagnosis,) = diagnoses(api, alarm)
    ended = api.wait_for(diagnosis, "COMPLETED", "FAILED")
    assert f"asked for because {alarm} is in ALARM since" in api.report(ended["id"])
    assert diagnoses(api, alarm) == [diagnosis]


def diagnoses(api: Api, alarm: str) -> list[str]:
    runs = api.runs_of("check-environment/dev")
    return [one["id"] for one in runs if alarm in one["parameters"].get("because", "")]


def test_in_a_browser_a_form_is_refused_by_field_then_started_approved_and_its_report_read(
    api: Api, orchestrated: dict[str, str], stack: Stack, tmp_path: Path
) -> None:
    mirror_as_prod(stack.clients)
    before = {one["InstanceId"] for one in stack.group()["Instances"]}
    with browsing(orchestrated["PREFECT_UI_URL"]) as ui:
        ui.open_form(api.get("/deployments/name/refresh-instances/prod")["id"])
        ui.is_told("Names this request, such as an incident's number")
        ui.fill("request", "INC 42!")
        ui.submit()
        ui.is_told("Validation failed for field 'request'")
        assert api.runs_of("refresh-instances/prod") == []
        ui.fill("request", "INC-42")
        ui.picture(tmp_path / "form.png")
        ui.submit()
        ui.is_told("scheduled to start now")
        (run,) = api.runs_of("refresh-instances/prod")
        asked = api.wait_for(run["id"], "Suspended")
        assert {one["InstanceId"] for one in stack.group()["Instances"]} == before
        ui.open_run(run["id"])
        plan = asked["state"]["state_details"]["pause_key"].removeprefix("approve-")
        ui.approve(plan, approver="Ann", reason="the pools went bad", picture=tmp_path / "approval.png")
        api.wait_for(run["id"], "COMPLETED")
        report = ui.open_report("refresh-instances-prod")
        ui.picture(tmp_path / "report.png")
    for told in ("refresh instances: completed", "INC-42", f"plan {plan} for prod approved by Ann: the pools went bad"):
        assert told in report
    assert not before & {one["InstanceId"] for one in stack.group()["Instances"]}
