"""The house rules that a linter can't see."""

import importlib
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

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
def test_every_field_of_a_form_is_bounded(name: str) -> None:
    """Text has a choice, a pattern, a format or a length; a number has a choice or two ends; a list has a length."""
    flow = getattr(importlib.import_module(f"flows.{name}"), name)
    for parameter, shape in flow.parameters.properties.items():
        for kind in shape.get("anyOf", [shape]):
            assert _is_bounded(kind), f"{parameter}: {kind}"


def _is_bounded(kind: dict[str, Any]) -> bool:
    keys = set(kind)
    if "enum" in keys:
        return True
    if kind["type"] == "array":
        return "maxItems" in keys and _is_bounded(kind["items"])
    if kind["type"] in ("integer", "number"):
        return bool(keys & {"minimum", "exclusiveMinimum"}) and bool(keys & {"maximum", "exclusiveMaximum"})
    return kind["type"] in ("boolean", "null") or bool(keys & {"pattern", "format", "maxLength", "const"})


@pytest.mark.parametrize("name", PROCEDURES)
def test_every_procedure_can_be_started_from_the_ui(name: str) -> None:
    assert f"flows.{name}.{name}" in {entry["entrypoint"] for entry in DEPLOYMENTS}


def test_every_deployment_to_prod_that_changes_something_says_that_it_asks() -> None:
    for entry in DEPLOYMENTS:
        if entry.get("parameters", {}).get("environment") == "prod" and "impact:none" not in entry["tags"]:
            assert "approval:required" in entry["tags"], entry


@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: f"{entry['entrypoint']}/{entry['name']}")
def test_a_deployment_says_what_users_may_notice_and_how_long_it_takes(entry: dict[str, Any]) -> None:
    tags = entry["tags"]
    assert len({"impact:none", "impact:low", "impact:high"} & set(tags)) == 1
    assert len([tag for tag in tags if re.fullmatch(r"expected:\d+m", tag)]) == 1
    assert all(schedule["timezone"] == "UTC" for schedule in entry.get("schedules", []))


def test_a_change_waits_for_the_one_before_it() -> None:
    for entry in DEPLOYMENTS:
        if (
            "dry_run" in _parameters(entry)
            and "impact:none" not in entry["tags"]
            and "environment" in _parameters(entry)
        ):
            assert entry["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}, entry


def test_a_change_and_a_look_that_takes_long_is_listened_for_when_its_worker_dies() -> None:
    (trigger,) = (one for entry in DEPLOYMENTS for one in entry.get("triggers", ()) if one["name"] == "silent-run")
    heard = {tag.removeprefix("prefect.tag.") for tag in trigger["match_related"]["prefect.resource.id"]}
    for entry in DEPLOYMENTS:
        (minutes,) = (int(tag[9:-1]) for tag in entry["tags"] if tag.startswith("expected:"))
        if "impact:none" not in entry["tags"] or minutes >= 15:
            assert heard & set(entry["tags"]), entry


@pytest.mark.parametrize("entry", [e for e in DEPLOYMENTS if "patch_instances" in e["entrypoint"]], ids=str)
def test_patches_begin_inside_the_maintenance_window(entry: dict[str, Any]) -> None:
    """Sunday 02:00-05:00 UTC, early enough to end in it."""
    minute, hour, _, _, weekday = entry["schedules"][0]["cron"].split()
    assert (int(hour), weekday) == (2, "0")
    assert int(minute) < 30


@pytest.mark.parametrize(("name", "days", "months"), [("review_cost", "3", "*"), ("run_drill", "", "1,4,7,10")])
def test_what_the_runbook_reviews_is_scheduled_as_soon_as_it_exists(name: str, days: str, months: str) -> None:
    """Cost on the third of the month, when the month before is closed; a drill each quarter."""
    crons = [
        schedule["cron"].split()
        for entry in DEPLOYMENTS
        if entry["entrypoint"] == f"flows.{name}.{name}"
        for schedule in entry.get("schedules", [])
    ]
    if name in PROCEDURES:
        assert any(cron[2].startswith(days) and cron[3] == months for cron in crons), crons


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    module, _, name = entry["entrypoint"].rpartition(".")
    shapes: dict[str, Any] = getattr(importlib.import_module(module), name).parameters.properties
    return shapes


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
