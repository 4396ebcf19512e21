"""`make demo`: the runbook's first page on this machine, through a Prefect server and worker, told as it happens."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
from rich.console import Console
from rich.table import Table

from lab.load import Load

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "demo"
LAB_HOME = ROOT / ".lab" / "demo"
DEV = "demo-flask-app-dev"
PORT = int(os.environ.get("DEMO_PORT", "4200"))
API = f"http://127.0.0.1:{PORT}/api"
LOOK = ["uptime", "df -h /"]
LOAD_RATE = 50  # requests per second
STARTUP_SECONDS = 120
STOP_SECONDS = 20
PREFECT = {
    "PREFECT_API_URL": API,
    "PREFECT_HOME": str(HOME / "prefect"),
    "PREFECT_UI_URL": f"http://127.0.0.1:{PORT}",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the newer UI calls an analytics host whatever one sets
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # SQLite stalls for tens of seconds when task runs are recorded one by one.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
}
console = Console(highlight=False)


@dataclass
class Step:
    name: str
    outcome: str
    seconds: float
    sent: int | None = None
    failed: int | None = None


@dataclass
class Demo:
    """What the steps share: the lab's variables, and what happened so far."""

    environment: dict[str, str]
    api: httpx.Client = field(default_factory=lambda: httpx.Client(base_url=API, timeout=120))
    steps: list[Step] = field(default_factory=list)

    def run(self, deployment: str, expected: str = "COMPLETED", **parameters: Any) -> None:
        """Start a deployment as the UI does, show its log, and hold it to its expected end."""
        console.rule(f"[bold]{deployment}[/] {' '.join(f'{k}={v}' for k, v in parameters.items())}")
        found = self.ask("GET", f"/deployments/name/{deployment}")
        started = self.ask("POST", f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})
        self.show(deployment, started["id"], expected)

    def show(self, name: str, run_id: str, expected: str) -> None:
        began = time.monotonic()
        state = self._follow(run_id)
        self.steps.append(Step(name, state["name"], time.monotonic() - began))
        if state["type"] != expected:
            raise SystemExit(f"{name} ended {state['name']}, expected {expected}: {state.get('message')}")

    def wait_for_automation(self, deployment: str) -> str:
        """The run that an automation starts: nobody else says why."""
        found = self.ask("GET", f"/deployments/name/{deployment}")
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            wanted = {"flow_runs": {"deployment_id": {"any_": [found["id"]]}}}
            for run in self.ask("POST", "/flow_runs/filter", wanted):
                if run["parameters"].get("because"):
                    return str(run["id"])
            time.sleep(1)
        raise SystemExit(f"no automation started {deployment} in {STARTUP_SECONDS} s")

    def _follow(self, run_id: str) -> dict[str, Any]:
        shown = 0
        while True:
            run = self.ask("GET", f"/flow_runs/{run_id}")
            wanted = {
                "logs": {"flow_run_id": {"any_": [run_id]}},
                "sort": "TIMESTAMP_ASC",
                "offset": shown,
                "limit": 200,
            }
            lines = self.ask("POST", "/logs/filter", wanted)
            for line in lines:
                _tell(line)
            shown += len(lines)
            if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED") and not lines:
                state: dict[str, Any] = run["state"]
                return state
            time.sleep(1)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The server; while it writes what it has scheduled, SQLite is locked, and it answers 503."""
        for pause in (1, 2, 4, 8, 16):
            answer = self.api.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause)
        return answer.raise_for_status().json()

    def push(self, version: str, folder: Path = ROOT) -> str:
        """Build and push a release; its digest."""
        command = ["-m", "lab", "--home", str(LAB_HOME), "push", str(folder), "--repository", "demo-flask-app"]
        command += ["--tag", version, "--target", "app", "--build-arg", f"VERSION={version}"]
        reference = self._python(*command).split()[-1]
        console.print(f"pushed {version}: {reference}")
        return reference.partition("@")[2]

    @contextmanager
    def load(self) -> Iterator[None]:
        """Send requests while a step runs, and add what became of them to its row."""
        url = self._python("-m", "deployments.demo", "url").strip()
        with Load(f"{url}/items", rate=LOAD_RATE) as load:
            yield
        self.steps[-1].sent, self.steps[-1].failed = load.result["sent"], load.result["failed"]

    def _python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **PREFECT, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def _tell(line: dict[str, Any]) -> None:
    """One line of a run's log: the runbook's own words, and an error's message without its traceback."""
    message = str(line["message"])
    if line["name"].startswith(("prefect.flow_runs", "prefect.task_runs")) and not message.startswith("Finished in"):
        console.print(f"{line['timestamp'][11:19]} {message.splitlines()[0]}", markup=False, soft_wrap=True)


def up() -> None:
    if (HOME / "processes.json").exists():
        raise SystemExit(f"the demo runs already: http://127.0.0.1:{PORT}  (stop it with 'make down')")
    _require_free_port()
    HOME.mkdir(parents=True, exist_ok=True)
    console.rule("[bold]start the lab, the Prefect server and a worker")
    began = time.monotonic()
    _spawn("server", ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(PORT)], {})
    demo = Demo(_start_lab())
    _wait_for_server()
    console.print(demo._python("-m", "deployments").strip())
    worker = ["-m", "prefect", "worker", "start", "--pool", "runbook", "--type", "process", "--limit", "20"]
    _spawn("worker", worker, demo.environment)
    demo.steps.append(Step("start", "Completed", time.monotonic() - began))
    tell_story(demo)
    _summarise(demo)


def tell_story(demo: Demo) -> None:
    demo.run("set-up-account/account")
    demo.run("set-up-certificate/dev")
    first, second = demo.push("1.0.0"), demo.push("2.0.0")
    broken = demo.push("3.0.0", _broken_release())
    demo.run("deploy-infrastructure/dev", image=first)
    with demo.load():
        demo.run("deploy-application/dev", image=second)
    with demo.load():
        demo.run("deploy-application/dev", expected="FAILED", image=broken)
    lose_every_instance(demo)
    ask_for_approval(demo)


def lose_every_instance(demo: Demo) -> None:
    """Somebody scales dev to zero by mistake: an alarm is raised, and an automation has looked before anybody asks."""
    console.rule("[bold]somebody scales dev to zero")
    demo._python("-m", "deployments.demo", "scale", "0")
    demo.run("watch-alarms/dev")
    console.rule("[bold]check-environment/dev, started by the automation alarm-in-dev")
    demo.show("check-environment/dev by automation", demo.wait_for_automation("check-environment/dev"), "FAILED")
    console.rule("[bold]somebody scales it back")
    demo._python("-m", "deployments.demo", "scale", "1")
    demo.run("check-environment/dev")


def ask_for_approval(demo: Demo) -> None:
    """Prod is dev by another name here. The outage has spent its error budget: it wants a reason, and then a person."""
    demo._python("-m", "deployments.demo", "name-it-prod")
    demo.run("run-command/prod", expected="FAILED", commands=LOOK)
    demo.run("run-command/prod", expected="PAUSED", commands=LOOK, despite="a look at the machines after the outage")


def down() -> None:
    for record in json.loads((HOME / "processes.json").read_text()) if (HOME / "processes.json").exists() else []:
        _stop(record)
    subprocess.run([sys.executable, "-m", "lab", "--home", str(LAB_HOME), "down"], cwd=ROOT, check=True)
    shutil.rmtree(HOME, ignore_errors=True)


def _start_lab() -> dict[str, str]:
    subprocess.run(
        [sys.executable, "-m", "lab", "--home", str(LAB_HOME), "up"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    environment: dict[str, str] = json.loads((LAB_HOME / "lab.json").read_text())["env"]
    return environment


def _spawn(name: str, arguments: list[str], environment: dict[str, str]) -> None:
    with (HOME / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **PREFECT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    records = HOME / "processes.json"
    known = json.loads(records.read_text()) if records.exists() else []
    known.append({"pid": process.pid, "created": psutil.Process(process.pid).create_time()})
    records.write_text(json.dumps(known))


def _stop(record: dict[str, Any]) -> None:
    """End a process of ours and all it started; a pid that is somebody else's by now is left alone."""
    try:
        process = psutil.Process(record["pid"])
        if process.create_time() != record["created"]:
            return
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with _gone_is_fine():
            member.terminate()
    for member in psutil.wait_procs(family, timeout=STOP_SECONDS)[1]:
        with _gone_is_fine():
            member.kill()


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        pass


def _wait_for_server() -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{API}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise SystemExit(f"the Prefect server did not start in {STARTUP_SECONDS} s; its log is {HOME / 'server.log'}")


def _require_free_port() -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise SystemExit(
                f"port {PORT} is taken. Stop what listens there, or choose another: make demo DEMO_PORT=4201"
            )


def _broken_release() -> Path:
    """The same application with a migration that fails: an honest mistake, found by no unit test."""
    folder = HOME / "release-3"
    shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Dockerfile", folder / "Dockerfile")
    (folder / "app" / "migrations" / "0999_average.sql").write_text("SELECT 1 / count(*) FROM items WHERE price < 0;\n")
    return folder


def _summarise(demo: Demo) -> None:
    table = Table(title="What happened")
    for heading in ("step", "ended", "took", "requests", "failed requests"):
        table.add_column(heading, justify="right" if heading not in ("step", "ended") else "left")
    for step in demo.steps:
        counted = [str(step.sent), str(step.failed)] if step.sent is not None else ["", ""]
        table.add_row(step.name, step.outcome, f"{step.seconds:.0f} s", *counted)
    console.print(table)
    console.print(f"Prefect UI   http://127.0.0.1:{PORT}    run-command/prod waits there for your yes: Runs, Resume")
    console.print(f"application  {demo._python('-m', 'deployments.demo', 'url').strip()}/health")
    console.print(f"AWS CLI      eval $(.venv/bin/python -m lab --home {LAB_HOME.relative_to(ROOT)} env)")
    console.print("stop it all  make down")


# What follows asks AWS, in processes that have the lab's variables.


def print_url() -> None:
    """The load balancer's address."""
    found = boto3.client("ssm").get_parameter(Name="/demo-flask-app/dev/alb_url")
    print(found["Parameter"]["Value"])  # noqa: T201


def scale(instances: str) -> None:
    """Until it shows: the alarm that tells of it is raised, or every component is well again."""
    group, size = f"{DEV}-asg", int(instances)
    boto3.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=group, MinSize=size, DesiredCapacity=size
    )
    wanted, deadline = "OK" if size else "ALARM", time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        found = boto3.client("cloudwatch").describe_alarms(AlarmNames=[f"{DEV}-no-healthy-hosts"])["MetricAlarms"]
        if [alarm["StateValue"] for alarm in found] == [wanted]:
            return
        time.sleep(1)
    raise SystemExit(f"{DEV}-no-healthy-hosts is not {wanted} after {STARTUP_SECONDS} s")


def name_it_prod() -> None:
    ssm = boto3.client("ssm")
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/demo-flask-app/dev"):
        for one in page["Parameters"]:
            ssm.put_parameter(
                Name=one["Name"].replace("/dev/", "/prod/"), Value=one["Value"], Type="String", Overwrite=True
            )


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {
        "up": up,
        "down": down,
        "url": print_url,
        "scale": scale,
        "name-it-prod": name_it_prod,
    }
    commands[sys.argv[1]](*sys.argv[2:])
