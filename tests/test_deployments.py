"""prefect.yaml against a real server with all its services: what is registered, scheduled and removed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[1]
LISTED = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
STARTUP_SECONDS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables with which a process reaches this server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(environment["PREFECT_API_URL"])
        register(environment)
        yield environment
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_for(api: str) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{api}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail(f"no Prefect server after {STARTUP_SECONDS} s")


def register(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "deployments"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def deployments(environment: dict[str, str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = httpx.post(f"{environment['PREFECT_API_URL']}/deployments/filter", json={}).json()
    return found


def test_everything_that_is_listed_is_registered_with_its_parameters_enforced(server: dict[str, str]) -> None:
    found = deployments(server)
    assert len(found) == len(LISTED)
    assert all(deployment["enforce_parameter_schema"] for deployment in found)


def test_registering_again_changes_nothing_and_what_is_no_longer_listed_goes(server: dict[str, str]) -> None:
    before = {str(deployment["id"]) for deployment in deployments(server)}
    stale = {**deployments(server)[0], "name": "stale"}
    wanted = {name: stale[name] for name in ("name", "flow_id", "work_pool_name", "entrypoint")}
    httpx.post(f"{server['PREFECT_API_URL']}/deployments/", json=wanted).raise_for_status()
    assert "1 removed" in register(server)
    assert {str(deployment["id"]) for deployment in deployments(server)} == before


def test_a_schedule_really_creates_runs(server: dict[str, str]) -> None:
    """An unpinned SQLAlchemy registers schedules that never create a run, silently."""
    deadline = time.monotonic() + 60
    scheduled: list[object] = []
    while not scheduled and time.monotonic() < deadline:
        wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        scheduled = httpx.post(f"{server['PREFECT_API_URL']}/flow_runs/filter", json=wanted).json()
        time.sleep(0.5)
    assert scheduled


def test_the_command_line_can_list_runs(server: dict[str, str]) -> None:
    """An unpinned FastAPI breaks every call of the client that sends a JSON null."""
    command = [sys.executable, "-m", "prefect", "flow-run", "ls"]
    assert subprocess.run(command, env=server, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"image": "sha256:x", "environment": "staging"}, "environment"),
        ({"image": "sha256:x", "batch_percentage": 101}, "batch_percentage"),
        ({}, "image"),
    ],
)
def test_a_form_filled_in_wrongly_is_refused_by_field(
    server: dict[str, str], parameters: dict[str, object], named: str
) -> None:
    api = server["PREFECT_API_URL"]
    deployment = httpx.get(f"{api}/deployments/name/deploy-application/dev").json()
    answer = httpx.post(f"{api}/deployments/{deployment['id']}/create_flow_run", json={"parameters": parameters})
    assert answer.status_code == 409
    assert named in answer.text or str(parameters.get(named)) in answer.text
