"""`make bench`: figures, never assertions. Writes build/bench.json; ratios are taken within one run."""

import contextlib
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from prefect import get_client
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from lab.load import Load
from tests.bench import application, content, costs, runs
from tests.running import clients_of, running_lab
from tests.stack import Stack, build_stack, publish_ami

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "build" / "bench.json"
RATES = (50, 200)  # requests per second
GROUPS = (3, 30, 100)  # instances
PATCHED = (10, 100)  # instances


def main() -> None:
    RESULT.parent.mkdir(exist_ok=True)
    figures: dict[str, Any] = {"machine": {"cpus": os.cpu_count(), "python": platform.python_version()}}
    figures["application"] = _told("application beside pgbench", application.measure)
    figures["content"] = _told("every row of two databases, compared", content.measure)
    with own_lab() as lab, prefect():
        clients = clients_of(lab)
        figures["rollout_under_load"] = {
            str(rate): _told(f"rollout at {rate} requests/s", lambda rate=rate: rollout_under_load(lab, clients, rate))
            for rate in RATES
        }
        figures["rollout_by_size"] = {
            str(size): _told(f"rollout of {size} instances", lambda size=size: rollout_of(lab, clients, size))
            for size in GROUPS
        }
        figures["patch_by_size"] = {
            str(size): _told(f"patch of {size} instances", lambda size=size: patch_of(lab, clients, size))
            for size in PATCHED
        }
        figures["way_back"] = _told("a bad release that is noticed", lambda: way_back(lab, clients))
        fresh_stack(lab, clients, 2)
        figures["runs"] = _told("many runs that are due at once", lambda: runs.measure(lab))
        figures["costs"] = _told("cost reviews of generated accounts", lambda: costs.measure(lab, clients))
    RESULT.write_text(json.dumps(figures, indent=2))
    print(f"{json.dumps(figures, indent=2)}\n{RESULT.relative_to(ROOT)}")


def _told(what: str, measure: Callable[[], Any]) -> Any:
    print(f"{what} ...", flush=True)
    return measure()


def rollout_under_load(lab: dict[str, Any], clients: Callable[[str], Any], rate: int) -> dict[str, Any]:
    """What users see of a rollout: open loop, counted from the moment each request should have left."""
    stack = fresh_stack(lab, clients, 2)
    with Load(f"{stack.url}/items", rate=rate) as load:
        deploy(stack, "2.0.0")
    return {name: load.result[name] for name in ("sent", "failed", "by_version", "milliseconds")}


def rollout_of(lab: dict[str, Any], clients: Callable[[str], Any], size: int) -> dict[str, Any]:
    stack = fresh_stack(lab, clients, size)
    return cost_of(lab, stack, lambda: deploy(stack, "2.0.0"))


def patch_of(lab: dict[str, Any], clients: Callable[[str], Any], size: int) -> dict[str, Any]:
    from flows.patch_instances import patch_instances  # noqa: PLC0415 - Prefect reads its settings at import

    stack = fresh_stack(lab, clients, size)
    publish_ami(stack, "CVE-2026-0001")
    wish = {"bake_minutes": 0, "canary_minutes": 1, "outside_window_because": "a measurement"}
    return cost_of(lab, stack, lambda: _seconds(lambda: patch_instances("dev", **wish)))


def way_back(lab: dict[str, Any], clients: Callable[[str], Any]) -> dict[str, Any]:
    """From noticing that a release fails its users to the moment from which the old one answers every request."""
    from flows.deploy_application import deploy_application  # noqa: PLC0415 - Prefect reads its settings at import

    stack = fresh_stack(lab, clients, 3)
    deploy_application("dev", stack.push("2.0.0", "failing"), bake_minutes=0, return_state=True)
    with get_client(sync_client=True) as client:
        address = f"{client.api_url}artifacts/deploy-application-dev/latest"
    told = httpx.get(address, timeout=30).raise_for_status().json()["data"]
    return {"seconds": float(re.findall(r"version before ([\d.]+) s after", told)[0]), "speed": lab["speed"]}


def cost_of(lab: dict[str, Any], stack: Stack, change: Callable[[], float]) -> dict[str, Any]:
    """AWS calls by operation, and the seconds that we add to what AWS itself needs."""
    before = counts(lab)
    took = change()
    after = counts(lab)
    refresh = stack.refreshes()[0]
    of_aws = (refresh["EndTime"] - refresh["StartTime"]).total_seconds()
    calls = {name: n - before.get(name, 0) for name, n in after.items() if n > before.get(name, 0)}
    return {
        "seconds": round(took, 1),
        "refresh_seconds": round(of_aws, 1),
        "own_seconds": round(took - of_aws, 1),
        "calls": sum(calls.values()),
        "calls_by_operation": dict(sorted(calls.items())),
    }


def deploy(stack: Stack, version: str) -> float:
    from flows.deploy_application import deploy_application  # noqa: PLC0415 - Prefect reads its settings at import

    image = stack.push(version)
    return _seconds(lambda: deploy_application("dev", image, bake_minutes=0))


def _seconds(act: Callable[[], Any]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def fresh_stack(lab: dict[str, Any], clients: Callable[[str], Any], size: int) -> Stack:
    httpx.post(f"{lab['url']}/lab/reset", timeout=120).raise_for_status()
    return build_stack(lab, clients, size)


def counts(lab: dict[str, Any]) -> dict[str, int]:
    return dict(httpx.get(f"{lab['url']}/lab/counts", timeout=30).json())


@contextlib.contextmanager
def own_lab() -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running_lab(Path(folder) / "lab") as ready:
        os.environ.update(ready["env"])
        yield ready


@contextlib.contextmanager
def prefect() -> Iterator[None]:
    os.environ.update(DO_NOT_TRACK="1", PREFECT_SERVER_ANALYTICS_ENABLED="false")
    with (
        prefect_test_harness(server_startup_timeout=240),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}),
    ):
        yield


if __name__ == "__main__":
    main()
