"""Runs that are due at once, on one machine: how many wait, run, end; that none is lost, and none is carried out twice.

`python -m tests.bench.runs [embedded|postgresql [RUNS [LIMITED]]]` measures this alone.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from lab.postgres import SUPERUSER, Cluster
from tests.orchestrated import ENDED, Api, register, running_server, running_worker
from tests.running import clients_of

DEPLOYMENT = "watch-refresh/dev"  # it lasts as long as the instance refresh that it watches
PAUSE_SECONDS = 4 * 3600  # of AWS's, in the middle of that refresh: long enough for twenty runs to begin
RUNS = {"embedded": 50, "postgresql": 200}
AT_ONCE = {"embedded": 5, "postgresql": 20}  # what SQLite bears, and what one machine should
LIMITED, LIMIT = 30, 5
PAGE = 200
LONGEST_SECONDS = 3600
NO_SCHEDULES = {"PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false"}


def measure_on(name: str, lab: dict[str, Any], runs: int, limited: int) -> dict[str, Any] | str:
    at_once = AT_ONCE[name]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        settings = stack.enter_context(SERVERS[name]())
        if settings is None:
            return "not measured: this machine's PostgreSQL has no pg_trgm, which Prefect needs (Debian: postgresql-15)"
        server = stack.enter_context(running_server(Path(folder), **NO_SCHEDULES, **settings))
        register(server)
        begin_refresh(lab)
        api, environment = Api(server), {**server, **lab["env"]}
        found = {f"{runs}_due_at_once": due_at_once(api, environment, runs, at_once)}
        limit(server, api, LIMIT)
        return found | {f"{limited}_with_a_limit_of_{LIMIT}": due_at_once(api, environment, limited, at_once)}


def begin_refresh(lab: dict[str, Any]) -> None:
    autoscaling = clients_of(lab)("autoscaling")
    (group,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    pause = {"CheckpointPercentages": [50, 100], "CheckpointDelay": PAUSE_SECONDS}
    autoscaling.start_instance_refresh(AutoScalingGroupName=group["AutoScalingGroupName"], Preferences=pause)


@contextmanager
def embedded() -> Iterator[dict[str, str]]:
    """SQLite, as on a laptop."""
    yield {}


@contextmanager
def postgresql() -> Iterator[dict[str, str] | None]:
    with Cluster.temporary(fsync="on") as cluster:
        if not cluster.query("select 1 from pg_available_extensions where name = 'pg_trgm'"):
            yield None
            return
        cluster.query("create database prefect")
        login = f"{SUPERUSER}:{cluster.password}@{cluster.host}:{cluster.port}"
        yield {"PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{login}/prefect"}


SERVERS = {"embedded": embedded, "postgresql": postgresql}


def measure(lab: dict[str, Any]) -> dict[str, Any]:
    """By what the Prefect server keeps its runs in. Needs a stack in the lab."""
    return {name: measure_on(name, lab, RUNS[name], LIMITED) for name in SERVERS}


def due_at_once(api: Api, environment: Mapping[str, str], count: int, at_once: int) -> dict[str, Any]:
    """All are there before the worker is; then it takes as many at once as it may."""
    deployment = api.get(f"/deployments/name/{DEPLOYMENT}")["id"]
    due = datetime.now(UTC) + timedelta(seconds=1)
    scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
    mine = {
        api.post(f"/deployments/{deployment}/create_flow_run", state=scheduled, parameters={"environment": "dev"})["id"]
        for _ in range(count)
    }
    began = time.monotonic()
    with running_worker(environment, at_once):
        most = wait_until_all_ended(api, mine, began)
    ended = read_all(api, mine)
    reports = count_reports(api, mine)
    waits = sorted(seconds_between(due, run["start_time"]) for run in ended if run["start_time"])
    return {
        "runs": count,
        "seconds": round(time.monotonic() - began, 1),
        "most_waiting": most["SCHEDULED"],
        "most_running_at_once": most["RUNNING"],
        "ended": dict(Counter(run["state_name"] for run in ended)),
        "lost": count - sum(run["state_type"] == "COMPLETED" for run in ended),
        "begun_more_than_once": sum(run["run_count"] > 1 for run in ended),
        "reports_of_each": dict(Counter(str(reports[run["id"]]) for run in ended)),
        "seconds_until_begun": {"first": waits[0], "median": waits[len(waits) // 2], "last": waits[-1]},
    }


def wait_until_all_ended(api: Api, mine: set[str], began: float) -> Counter[str]:
    """The most that were ever seen in each state."""
    most: Counter[str] = Counter()
    while time.monotonic() - began < LONGEST_SECONDS:
        now = Counter(run["state_type"] for run in read_all(api, mine))
        most |= now
        if sum(now[state] for state in ENDED) == len(mine):
            break
        time.sleep(1)
    return most


def read_all(api: Api, mine: set[str]) -> list[dict[str, Any]]:
    return pages(api, "/flow_runs/filter", flow_runs={"id": {"any_": sorted(mine)}})


def count_reports(api: Api, mine: set[str]) -> Counter[str]:
    """Each attempt that came to its end leaves one."""
    wanted = {"flow_run_id": {"any_": sorted(mine)}, "type": {"any_": ["markdown"]}}
    return Counter(one["flow_run_id"] for one in pages(api, "/artifacts/filter", artifacts=wanted))


def pages(api: Api, path: str, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := api.post(path, **wanted, limit=PAGE, offset=len(found), sort="ID_DESC"):
        found += page
    return found


def limit(server: Mapping[str, str], api: Api, slots: int) -> None:
    """No more than this many of the deployment's runs at once; the others wait their turn."""
    deployment = api.get(f"/deployments/name/{DEPLOYMENT}")["id"]
    wanted = {"concurrency_limit": slots, "concurrency_options": {"collision_strategy": "ENQUEUE"}}
    httpx.patch(f"{server['PREFECT_API_URL']}/deployments/{deployment}", json=wanted, timeout=60).raise_for_status()


def seconds_between(due: datetime, begun: str) -> float:
    return round((datetime.fromisoformat(begun) - due).total_seconds(), 1)


def main(name: str = "postgresql", runs: str = "", limited: str = str(LIMITED)) -> None:
    from tests.bench.__main__ import fresh_stack, own_lab  # noqa: PLC0415 - it imports this module

    with own_lab() as lab:
        fresh_stack(lab, clients_of(lab), 2)
        print(json.dumps(measure_on(name, lab, int(runs or RUNS[name]), int(limited)), indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
