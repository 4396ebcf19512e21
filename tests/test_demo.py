"""`make demo` from its first line to its last, and then what it leaves for a person to do, in a browser."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import browsing
from tests.orchestrated import ROOT, Api

STARTED = ("check-environment/dev by automation", "Failed"), ("run-command/prod", "Suspended")

pytestmark = [pytest.mark.lab, pytest.mark.exhaustive, pytest.mark.timeout(3600)]


@pytest.fixture
def demo() -> Iterator[tuple[str, str]]:
    """The address of its Prefect server, and what it has told."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**os.environ, "DEMO_PORT": port, "COLUMNS": "120"}
    command = [sys.executable, "-m", "deployments.demo"]
    try:
        done = subprocess.run([*command, "up"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        yield f"http://127.0.0.1:{port}", done.stdout
    finally:
        subprocess.run([*command, "down"], cwd=ROOT, env=environment, check=True)


def test_the_demo_tells_its_story_and_leaves_an_approval_that_a_person_gives_in_the_ui(
    demo: tuple[str, str], tmp_path: Path
) -> None:
    address, told = demo
    for step, ended in STARTED:
        assert any(step in line and ended in line for line in told.splitlines()), told
    give_the_approval(address, tmp_path)


def give_the_approval(address: str, pictures: Path) -> None:
    """Schedules are there, a report is, and what waits goes on with a person's yes."""
    api = Api({"PREFECT_API_URL": f"{address}/api"})
    scheduled = api.post("/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}}, limit=200)
    assert {one["name"] for one in api.post("/automations/filter")} >= {"alarm-in-dev", "resume-crashed-run"}
    assert any(one["auto_scheduled"] for one in scheduled)
    (run,) = (one for one in api.runs_of("run-command/prod") if one["state_type"] == "PAUSED")
    plan = run["state"]["state_details"]["pause_key"].removeprefix("approve-")
    with browsing(address) as ui:
        ui.open_run(run["id"])
        ui.approve(plan, approver="Ann", reason="just uptime", picture=pictures / "approval.png")
        api.wait_for(run["id"], "COMPLETED")
        report = ui.open_report("run-command-prod")
        ui.picture(pictures / "report.png")
        diagnosis = ui.open_report("check-environment-dev")
    assert f"plan {plan} for prod approved by Ann" in report
    assert "check environment: completed" in diagnosis
