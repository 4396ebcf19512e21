"""A Prefect server with all its services, and workers, in processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[1]
STARTUP_SECONDS = 300
STOP_SECONDS = 30
PATIENCE_SECONDS = 180  # a busy machine has SQLite wait
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the newer UI calls an analytics host whatever one sets
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
}


@contextmanager
def running_server(home: Path, **settings: str) -> Iterator[dict[str, str]]:
    """The variables with which a process reaches it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        **SETTINGS,
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_UI_URL": f"http://127.0.0.1:{port}",
        "PREFECT_HOME": str(home),
        **settings,
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(environment["PREFECT_API_URL"])
        yield environment
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_SECONDS)


@contextmanager
def running_worker(environment: Mapping[str, str], limit: int = 20) -> Iterator["subprocess.Popen[bytes]"]:
    """It is lost at the end, and may be lost before."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "runbook", "--type", "process"]
    process = subprocess.Popen(
        [*command, "--limit", str(limit)],
        cwd=ROOT,
        env=dict(environment),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        lose(process)


def lose(worker: "subprocess.Popen[bytes]") -> None:
    """What the loss of a machine does to a worker and its runs, each of which is in a process group of its own."""
    try:
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            pass
    worker.wait(STOP_SECONDS)


def register(environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "deployments"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Api:
    """The server as a client of its REST interface sees it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._http = httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=PATIENCE_SECONDS)

    def get(self, path: str) -> Any:
        return self._ask("GET", path).json()

    def post(self, path: str, body: Any = None, **fields: Any) -> Any:
        answer = self._ask("POST", path, json=fields if body is None else body)
        return answer.json() if answer.content else None

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        """SQLite is locked while the server writes what it has scheduled: that is a 503, and asked again."""
        for pause in (0.5, 1, 2, 4, 8):
            if (answer := self._http.request(method, path, **content)).status_code != 503:
                break
            time.sleep(pause)
        return answer.raise_for_status()

    def start(self, deployment: str, **parameters: Any) -> str:
        """A run's id."""
        found = self.get(f"/deployments/name/{deployment}")
        return str(self.post(f"/deployments/{found['id']}/create_flow_run", parameters=parameters)["id"])

    @contextmanager
    def unscheduled(self) -> Iterator[None]:
        """Meanwhile nothing runs but what is started, by a test or by an automation."""
        deployments = [one["id"] for one in self.post("/deployments/filter", limit=200)]
        for one in deployments:
            self.post(f"/deployments/{one}/pause_deployment")
        yield
        for one in deployments:
            self.post(f"/deployments/{one}/resume_deployment")

    def run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/flow_runs/{run}")
        return found

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        found = self.get(f"/deployments/name/{deployment}")
        runs: list[dict[str, Any]] = self.post(
            "/flow_runs/filter", flow_runs={"deployment_id": {"any_": [found["id"]]}}, sort="START_TIME_DESC"
        )
        return runs

    def report(self, run: str) -> str:
        found = self.post(
            "/artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}, "type": {"any_": ["markdown"]}}
        )
        return str(found[0]["data"])

    def wait_for(self, run: str, *states: str, seconds: float = 180, never: Sequence[str] = ENDED) -> dict[str, Any]:
        """Until the run is in one of these states, by type or name; it never is in one of the others meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.run(run)
            if {found["state_type"], found["state_name"]} & set(states):
                return found
            assert found["state_type"] not in never, f"{found['name']} ended {found['state']}, expected {states}"
            time.sleep(0.5)
        raise TimeoutError(f"{found['name']} is {found['state_name']} after {seconds} s, expected {states}")


def _wait_for(api: str) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{api}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise TimeoutError(f"no Prefect server after {STARTUP_SECONDS} s")
