"""prefect.yaml against a real server with all its services: what is registered, scheduled, started and removed."""

import subprocess
import sys
import time
from typing import Any

import httpx
import pytest
import yaml

from deployments.server import AUTOMATIONS, LIMITS
from tests.orchestrated import ROOT, Api, register

LISTED = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
TRIGGERS = sorted(trigger["name"] for entry in LISTED for trigger in entry.get("triggers", ()))
SCHEDULES = sum(len(entry.get("schedules", ())) for entry in LISTED)


@pytest.fixture
def api(orchestrated: dict[str, str]) -> Api:
    return Api(orchestrated)


def automations(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.post("/automations/filter")
    return found


def test_everything_that_is_listed_is_registered_with_its_parameters_enforced(api: Api) -> None:
    found = api.post("/deployments/filter")
    assert len(found) == len(LISTED)
    assert all(deployment["enforce_parameter_schema"] for deployment in found)
    assert sum(len(deployment["schedules"]) for deployment in found) == SCHEDULES
    limits = {one["name"]: one["limit"] for one in api.post("/v2/concurrency_limits/filter")}
    assert {name: limits.get(name) for name in LIMITS} == LIMITS


def test_automations_are_there_once_each_and_switched_on(api: Api) -> None:
    found = automations(api)
    assert sorted(one["name"] for one in found) == sorted([*TRIGGERS, *(one.name for one in AUTOMATIONS)])
    assert all(one["enabled"] for one in found)


def test_registering_again_changes_nothing_and_what_is_no_longer_listed_goes(
    api: Api, orchestrated: dict[str, str]
) -> None:
    before = state(api)
    first = api.post("/deployments/filter")[0]
    stale = {**first, "name": "stale"}
    api.post("/deployments/", **{name: stale[name] for name in ("name", "flow_id", "work_pool_name", "entrypoint")})
    old = [{"schedule": {"cron": "0 0 1 1 *", "timezone": "UTC"}, "active": True, "slug": "by-hand"}]
    api.post(f"/deployments/{first['id']}/schedules", old)
    (ours,) = (one for one in automations(api) if one["name"] == AUTOMATIONS[0].name)
    api.post("/automations/", **{**{name: ours[name] for name in ("trigger", "actions", "tags")}, "name": "stale"})
    told = register(orchestrated)
    assert "2 removed" in told
    assert "by-hand" in told
    assert "no Secret block notification-url" in told
    assert state(api) == before


def state(api: Api) -> list[Any]:
    deployments = api.post("/deployments/filter")
    schedules = sorted(str(schedule["id"]) for one in deployments for schedule in one["schedules"])
    names = sorted(one["name"] for one in automations(api))
    return [sorted(str(one["id"]) for one in deployments), schedules, names]


def test_a_schedule_really_creates_runs(api: Api) -> None:
    """An unpinned SQLAlchemy registers schedules that never create a run, silently."""
    deadline = time.monotonic() + 60
    scheduled: list[object] = []
    while not scheduled and time.monotonic() < deadline:
        scheduled = api.post("/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}})
        time.sleep(0.5)
    assert scheduled


def test_the_command_line_can_list_runs(orchestrated: dict[str, str]) -> None:
    """An unpinned FastAPI breaks every call of the client that sends a JSON null."""
    command = [sys.executable, "-m", "prefect", "flow-run", "ls"]
    assert subprocess.run(command, env=orchestrated, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"image": "sha256:x", "environment": "staging"}, "environment"),
        ({"image": "sha256:x", "batch_percentage": 101}, "batch_percentage"),
        ({"image": "sha256:x", "approved_plan": "yes"}, "approved_plan"),
        ({}, "image"),
    ],
)
def test_a_form_filled_in_wrongly_is_refused_by_field(
    orchestrated: dict[str, str], parameters: dict[str, object], named: str
) -> None:
    api = orchestrated["PREFECT_API_URL"]
    deployment = httpx.get(f"{api}/deployments/name/deploy-application/dev").json()
    answer = httpx.post(f"{api}/deployments/{deployment['id']}/create_flow_run", json={"parameters": parameters})
    assert answer.status_code == 409
    assert named in answer.text or str(parameters.get(named)) in answer.text
