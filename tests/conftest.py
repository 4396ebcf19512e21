"""One lab and one Prefect server per test session; the lab is forgotten before each test."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.orchestrated import register, running_server
from tests.running import clients_of, running_lab

SPEED = 50.0
PROJECT = Path(__file__).parents[1]
LONGEST_FIRST = {
    "lab": 0,
    "terraform": 1,
    "backups": 2,
    "orchestrated": 3,
}  # so that the processes end at about the same time
PREFECT_SERVICES_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may run side by side: modules, but for those that share what takes long to build, or port 5000."""
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: LONGEST_FIRST.get(groups[item], len(LONGEST_FIRST)))


def _group(item: pytest.Item) -> str:
    module = item.nodeid.partition("::")[0]
    shared = {"built_by_terraform": "terraform", "backed_up": "backups", "orchestrated": "orchestrated"}
    found = [group for fixture, group in shared.items() if fixture in getattr(item, "fixturenames", ())]
    return found[0] if found else "lab" if module.startswith("tests/lab/") else module


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The running lab as its lab.json tells it (url, env, pid, speed), and its home."""
    with running_lab(tmp_path_factory.mktemp("lab") / "home", SPEED) as running:
        yield running


@pytest.fixture
def call_tool(lab: dict[str, Any]) -> Callable[..., Any]:
    """The lab's own pages: `call_tool("GET", "/lab/calls")`, `call_tool("POST", "/lab/faults", {...})`."""

    def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return httpx.request(method, f"{lab['url']}{path}", json=body, timeout=60).raise_for_status().json()

    return call


@pytest.fixture
def fresh_lab(lab: dict[str, Any], call_tool: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The lab with nothing in it, and the AWS_* variables of this process pointing at it."""
    call_tool("POST", "/lab/reset")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in lab["env"].items():
        monkeypatch.setenv(name, value)
    return lab


@pytest.fixture
def client(fresh_lab: dict[str, Any]) -> Callable[..., Any]:
    """`client("rds")`: a boto3 client that asks once, so that a test sees what the lab answered."""
    return clients_of(fresh_lab)


@pytest.fixture
def account(fresh_lab: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An empty AWS account as the product sees it: through the standard variables, with clients of its own."""
    from tasks import aws  # noqa: PLC0415 - the lab's own tests load nothing of the product

    aws._client.cache_clear()
    yield fresh_lab
    aws._client.cache_clear()


@pytest.fixture(scope="session")
def orchestrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of a process that reaches a server as people use it: all services, everything registered."""
    with running_server(tmp_path_factory.mktemp("orchestrated")) as environment:
        register(environment)
        yield environment


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """The address of a Prefect server without the services that most tests do not ask for."""
    from prefect import get_client  # noqa: PLC0415 - the lab's own tests load nothing of the product
    from prefect.settings import (  # noqa: PLC0415
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

    os.environ.update(PREFECT_SERVICES_OFF)
    from deployments.server import ensure_limits  # noqa: PLC0415

    with (
        prefect_test_harness(server_startup_timeout=240),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}),
    ):
        with get_client(sync_client=True) as client:
            ensure_limits(client)
        yield str(PREFECT_API_URL.value())
