"""The Terraform code as text: formatted, valid, and the same for dev and prod."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.environment import PROJECT
from tasks.terraform_process import TerraformProcess
from tests.terraform.conftest import SOURCE, run, run_tests

ROOTS = ["environments/shared", "environments/dev", "environments/prod"]
MODULES = sorted(path.name for path in (SOURCE / "modules").iterdir())
TESTED = sorted(str(path.parent.relative_to(SOURCE)) for path in SOURCE.glob("*/*/tests"))
MAIN_LINES = 150
MODULE_VARIABLES = 12


def test_every_file_is_formatted(copied: Path) -> None:
    outcome = TerraformProcess(copied).run("fmt", "-check", "-recursive", "-diff")
    assert (outcome.code, outcome.text) == (0, "")


@pytest.mark.parametrize("root", ROOTS)
def test_is_valid(initialized: Callable[[str], Path], root: str) -> None:
    run(initialized(root), "validate")


@pytest.mark.parametrize("folder", TESTED)
def test_terraform_s_own_tests_pass(initialized: Callable[[str], Path], folder: str) -> None:
    summary = run_tests(initialized(folder))[-1]["test_summary"]
    assert summary["status"] == "pass"
    assert summary["passed"] > 0
    assert summary["skipped"] == 0


@pytest.mark.parametrize("name", ["main.tf", "variables.tf", "outputs.tf", "versions.tf"])
def test_dev_and_prod_differ_in_their_values_only(source: Path, name: str) -> None:
    dev, prod = ((source / "environments" / environment / name).read_text() for environment in ("dev", "prod"))
    assert dev == prod


def test_each_root_keeps_its_state_under_its_own_name(source: Path) -> None:
    for root in ROOTS:
        backend = (source / root / "backend.tf").read_text()
        assert f'"{Path(root).name}/terraform.tfstate"' in backend
        assert not re.search(r"^\s*bucket\s*=", backend, re.MULTILINE), "a bucket's name holds an account's id"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_small(source: Path, module: str) -> None:
    folder = source / "modules" / module
    for path in folder.glob("*.tf"):
        assert len(path.read_text().splitlines()) <= MAIN_LINES, path.name
    variables = (folder / "variables.tf").read_text()
    assert variables.count('variable "') <= MODULE_VARIABLES


def test_every_variable_and_output_is_described(source: Path) -> None:
    bare = [
        f"{path.relative_to(source)}: {name}"
        for path in source.rglob("*.tf")
        for kind, name, body in blocks(path.read_text())
        if "description =" not in re.sub(r"\s+=", " =", body) or (kind == "variable" and "type " not in body)
    ]
    assert bare == []


def test_lists_are_made_by_key_and_not_by_position(source: Path) -> None:
    assert [
        path.name for path in source.rglob("*.tf") if re.search(r"^\s+count\s*=", path.read_text(), re.MULTILINE)
    ] == []


def test_the_project_is_called_the_same_everywhere(planned: Callable[[str], dict[str, Any]]) -> None:
    outputs = planned("dev")["output_changes"]
    assert outputs["asg_name"]["after"] == f"{PROJECT}-dev-asg"


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Kind, name and body of each variable and output."""
    return re.findall(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
