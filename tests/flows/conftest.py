"""A fresh environment for each flow test, and one that Terraform built, because that takes 110 seconds, for all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from flows.deploy_infrastructure import deploy_infrastructure
from flows.set_up_account import set_up_account
from flows.set_up_certificate import set_up_certificate
from flows.snapshot_database import snapshot_database
from tasks import aws, waiting
from tests import killing
from tests.backed_up import BackedUp
from tests.running import running_lab
from tests.stack import LIGHT, Stack, build_stack, push_release
from tests.storm import Storm, brewing

# At 400 a request to a restored application has no second to be answered in, where the machine is busy.
BACKUPS_SPEED = 250.0


@pytest.fixture(autouse=True)
def _orchestrated(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here runs flows, and the lab is faster than AWS."""
    monkeypatch.setattr(waiting, "SHORTEST_POLL_SECONDS", killing.POLL_SECONDS)


@pytest.fixture
def environment(prefect_server: str, account: dict[str, Any]) -> dict[str, str]:
    """The variables of a run in a process of its own."""
    return killing.variables(account["env"], prefect_server)


@pytest.fixture
def stack(account: dict[str, Any], client: Callable[[str], Any]) -> Stack:
    return build_stack(account, client)


@pytest.fixture(scope="module")
def storm(lab: dict[str, Any], prefect_server: str) -> Iterator[Storm]:
    """A stack and a database that lets few in. Its tests leave it as they found it, but for the faults they planned."""
    httpx.post(f"{lab['url']}/lab/reset", timeout=60).raise_for_status()
    with reaching(lab["env"]), brewing(lab, boto3.session.Session().client) as made:
        yield made


@pytest.fixture
def storm_environment(prefect_server: str, storm: Storm) -> dict[str, str]:
    """The variables of a run in a process of its own."""
    return killing.variables(storm.stack.lab["env"], prefect_server)


@pytest.fixture(scope="session")
def built_by_terraform(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A lab of its own with dev built by the flow, running the small release."""
    with build(tmp_path_factory.mktemp("terraform") / "lab", prefect_server, LIGHT) as built:
        yield built


@contextmanager
def build(home: Path, prefect_server: str, release: Path) -> Iterator[dict[str, Any]]:
    """A lab in which the flow builds dev, running the image that is made from the folder `release`."""
    with running_lab(home) as lab:
        with reaching(lab["env"]):
            set_up_account()
            set_up_certificate()
            image = push_release(aws.client("ecr"), release, "1.0.0").partition("@")[2]
            state = deploy_infrastructure("dev", image, return_state=True)  # type: ignore[call-overload]
        yield {"image": image, "state": state, "env": lab["env"], "prefect": prefect_server, "home": str(home)}


@pytest.fixture(scope="session")
def backed_up_once(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackedUp]:
    """A lab for what is done with backups, quicker than the session's: a restore takes AWS's ten minutes."""
    with (
        running_lab(tmp_path_factory.mktemp("backups") / "home", BACKUPS_SPEED) as lab,
        reaching(lab["env"]),
    ):
        made = BackedUp(lab, boto3.session.Session().client)
        made.build()
        made.snapshot = snapshot_database("dev", "before the tests")
        yield made


@pytest.fixture(scope="module")
def backed_up(backed_up_once: BackedUp) -> Iterator[BackedUp]:
    """That environment, with this process's variables pointing at it. Its tests leave it as they found it."""
    with reaching(backed_up_once.lab["env"]):
        yield backed_up_once


@pytest.fixture
def backed_up_environment(prefect_server: str, backed_up: BackedUp) -> dict[str, str]:
    """The variables of a run in a process of its own."""
    return killing.variables(backed_up.lab["env"], prefect_server)


@pytest.fixture(scope="module")
def built(built_by_terraform: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """That environment, with this process's variables pointing at it. Its tests leave it as they found it."""
    with reaching(built_by_terraform["env"]):
        yield built_by_terraform


@pytest.fixture
def built_environment(built: dict[str, Any]) -> dict[str, str]:
    """The variables of a run in a process of its own."""
    return killing.variables(built["env"], built["prefect"])


@contextmanager
def reaching(env: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        aws._client.cache_clear()
        yield
    aws._client.cache_clear()
