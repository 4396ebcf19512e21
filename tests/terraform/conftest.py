"""Terraform run on a copy of the code, with a mocked provider: no credentials, no network, nothing written here."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.terraform_process import Outcome, TerraformProcess

SOURCE = Path(__file__).parents[2] / "terraform"

NO_PROVIDER = "Failed to query available provider packages"

Resource = dict[str, Any]


@pytest.fixture(scope="session")
def source() -> Path:
    return SOURCE


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to run Terraform in: it and its runner write beside the code."""
    if shutil.which("terraform") is None:
        pytest.skip("no terraform on the PATH")
    copy = tmp_path_factory.mktemp("terraform") / "terraform"
    return Path(shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")))


@pytest.fixture(scope="session")
def initialized(copied: Path) -> Callable[[str], Path]:
    """`initialized("environments/dev")`: that folder of the copy, with its provider and modules in place."""
    ready: set[str] = set()

    def initialize(folder: str) -> Path:
        if folder not in ready:
            outcome = TerraformProcess(copied / folder).run("init", "-backend=false", "-input=false", "-no-color")
            if NO_PROVIDER in outcome.text:
                pytest.skip("no AWS provider: set TERRAFORM_PROVIDER_MIRROR, or go online")
            assert outcome.code == 0, outcome.text
            ready.add(folder)
        return copied / folder

    return initialize


@pytest.fixture(scope="session")
def planned(initialized: Callable[[str], Path]) -> Callable[[str], dict[str, Any]]:
    """`planned("dev")`: the environment's plan as committed, in the format of `terraform show -json`."""
    plans: dict[str, dict[str, Any]] = {}

    def plan(environment: str) -> dict[str, Any]:
        if environment not in plans:
            folder = initialized(f"environments/{environment}")
            events = run_tests(folder, "-verbose", "-filter=tests/plan.tftest.hcl")
            plans[environment] = next(e["test_plan"] for e in events if e["type"] == "test_plan")
        return plans[environment]

    return plan


@pytest.fixture(scope="session")
def resources(planned: Callable[[str], dict[str, Any]]) -> Callable[[str, str], dict[str, Resource]]:
    """`resources("dev", "aws_subnet")`: what the plan would make of a type, by address."""

    def of_type(environment: str, kind: str) -> dict[str, Resource]:
        return {
            change["address"]: change["change"]["after"]
            for change in planned(environment)["resource_changes"]
            if change["mode"] == "managed" and change["type"] == kind
        }

    return of_type


@pytest.fixture(scope="session")
def resource(resources: Callable[[str, str], dict[str, Resource]]) -> Callable[[str, str], Resource]:
    """`resource("dev", "aws_db_instance")`: the only one of a type."""

    def only(environment: str, kind: str) -> Resource:
        (found,) = resources(environment, kind).values()
        return found

    return only


def run(folder: Path, command: str, *arguments: str) -> Outcome:
    outcome = TerraformProcess(folder).run(command, *arguments)
    assert outcome.code == 0, f"terraform {command} in {folder}: {outcome.errors}\n{outcome.text}"
    return outcome


def run_tests(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The events of `terraform test`, whose last one is the summary."""
    events: list[dict[str, Any]] = []
    outcome = TerraformProcess(folder).run("test", "-json", *arguments, on_event=events.append)
    assert outcome.code == 0, "\n".join([outcome.errors, *(e["@message"] for e in events)])
    return events
