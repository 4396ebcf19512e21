"""Every procedure of the runbook, and the flow, the deployments and the tests that stand for it."""

import csv
import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CARRIES_OUT = re.compile(r"Carries out (.*?)(?:\n\n|\Z)", re.DOTALL)
PROCEDURE = re.compile(r"\bP\d\d\b")


@dataclass(frozen=True)
class Deployment:
    """One line of prefect.yaml; `crons` say when it runs by itself."""

    name: str
    tags: tuple[str, ...]
    crons: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """A flow as its operator sees it."""

    flow: str
    summary: str
    operator: str  # When, Impact and Rollback
    procedures: tuple[str, ...]
    deployments: tuple[Deployment, ...]
    tests: tuple[str, ...]
    commands: str


@cache
def read_procedures() -> Mapping[str, str]:
    """The name of each procedure by its id, as the runbook has them."""
    with (Path(__file__).parent / "procedures.csv").open() as file:
        return {row["id"]: row["procedure"] for row in csv.DictReader(file)}


@cache
def read_pages() -> tuple[Page, ...]:
    """In the order of the index, prefect.yaml."""
    entries = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    names = dict.fromkeys(str(entry["entrypoint"]).rpartition(".")[2] for entry in entries)
    return tuple(
        _page(name, [entry for entry in entries if entry["entrypoint"].endswith(f".{name}")]) for name in names
    )


def list_missing() -> list[str]:
    """Procedures that no flow carries out yet."""
    done = {procedure for page in read_pages() for procedure in page.procedures}
    return [procedure for procedure in read_procedures() if procedure not in done]


def _page(name: str, entries: list[dict[str, Any]]) -> Page:
    module = importlib.import_module(f"flows.{name}")
    flow, doc = getattr(module, name), inspect.getdoc(module) or ""
    title, _, rest = doc.partition("\n\n")
    told = CARRIES_OUT.search(rest)
    return Page(
        flow.name,
        title,
        rest.partition("\n\n")[0],
        tuple(dict.fromkeys(PROCEDURE.findall(told[1] if told else ""))),
        tuple(_deployment(flow.name, entry) for entry in entries),
        tuple(_tests(name)),
        _commands(name, flow.parameters.required or []),
    )


def _deployment(flow: str, entry: dict[str, Any]) -> Deployment:
    schedules = entry.get("schedules", [])
    crons = tuple(f"{one['slug'].replace('-', ' ')} ({one['cron']})" for one in schedules)
    return Deployment(f"{flow}/{entry['name']}", tuple(entry["tags"]), crons)


def _tests(name: str) -> list[str]:
    used = re.compile(rf"\bflows\.{name}\b")
    found = sorted((ROOT / "tests" / "flows").glob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in found if used.search(path.read_text())]


def _commands(name: str, required: list[str]) -> str:
    words = "".join(f" --{one.replace('_', '-')} {'dev' if one == 'environment' else '...'}" for one in required)
    return f"python -m flows.{name}{words}"
