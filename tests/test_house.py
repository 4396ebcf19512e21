"""The house rules that a linter can't see."""

import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from tasks.environment import PROJECT, Environment

ROOT = Path(__file__).parents[1]
PROCEDURES = sorted(path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")
PRODUCT = sorted(path for room in ("flows", "tasks", "app") for path in (ROOT / room).rglob("*.py"))
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("name", PROCEDURES)
def test_a_procedure_is_named_after_its_file_and_tells_the_operator_what_to_expect(name: str) -> None:
    module = importlib.import_module(f"flows.{name}")
    flow = getattr(module, name)
    assert flow.name == name.replace("_", "-")
    for word in ("When:", "Impact:", "Rollback:", "Carries out P"):
        assert word in (module.__doc__ or ""), word
    for parameter, shape in flow.parameters.properties.items():
        assert shape.get("description"), f"{parameter} has no help text in the form"


@pytest.mark.parametrize("name", PROCEDURES)
def test_every_procedure_can_be_started_from_the_ui(name: str) -> None:
    assert f"flows.{name}.{name}" in {entry["entrypoint"] for entry in DEPLOYMENTS}


def test_every_deployment_to_prod_that_changes_something_says_that_it_asks() -> None:
    for entry in DEPLOYMENTS:
        if entry.get("parameters", {}).get("environment") == "prod" and "impact:none" not in entry["tags"]:
            assert "approval:required" in entry["tags"], entry


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_has_no_word_of_the_lab(path: Path) -> None:
    assert not re.search(r"\bmoto\b|localhost|127\.0\.0\.1|\blab\b", path.read_text())


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_in_the_product_swallows_what_it_does_not_know(path: Path) -> None:
    handlers = re.findall(r"except (?:Base)?Exception.*?\n(?:.*\n){0,3}?.*raise", path.read_text())
    assert len(handlers) == len(re.findall(r"except (?:Base)?Exception", path.read_text()))


def test_boto3_clients_are_made_in_one_place_and_only_waits_sleep() -> None:
    def files_with(pattern: str) -> set[str]:
        return {path.name for path in PRODUCT if "app" not in path.parts and re.search(pattern, path.read_text())}

    assert files_with(r"boto3\.client\(") == {"aws.py"}
    assert files_with(r"time\.sleep\(") <= {"waiting.py", "change_lock.py"}
    assert "boto3" not in "".join((ROOT / "flows" / f"{name}.py").read_text() for name in PROCEDURES)


def test_the_environment_asks_only_for_outputs_that_terraform_has() -> None:
    for environment in ("dev", "prod"):
        outputs = (ROOT / "terraform" / "environments" / environment / "outputs.tf").read_text()
        declared = set(re.findall(r'^output "(\w+)"', outputs, re.MULTILINE))
        assert {field.name for field in fields(Environment)} - {"environment"} <= declared


def test_the_project_is_called_the_same_everywhere() -> None:
    for root in ("shared", "dev", "prod"):
        variables = (ROOT / "terraform" / "environments" / root / "variables.tf").read_text()
        assert re.search(rf'variable "project_name" {{.*?default\s+= "{PROJECT}"', variables, re.DOTALL)


def test_no_room_is_a_junk_drawer() -> None:
    names = {path.stem for path in ROOT.glob("[a-z]*/**/*.py") if not {".venv", "build"} & set(path.parts)}
    assert not names & {"utils", "helpers", "common", "core", "models", "manager", "misc"}


def test_the_lock_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--hash=sha256:" in lock
