"""Import blocks for what exists and Terraform's state does not know, tried out on a private copy of the state."""

import json
from collections.abc import Mapping
from functools import partial

from tasks import inventory
from tasks.errors import PreconditionFailed
from tasks.kinds import probe
from tasks.terraform import Workspace, plan
from tasks.terraform_plan import Plan

IMPORTS_FILE = "imports.tf"
BACKEND_FILE = "backend_override.tf"
COPY_FILE = "copy.tfstate"
LOCAL_BACKEND = f'terraform {{\n  backend "local" {{\n    path = "{COPY_FILE}"\n  }}\n}}\n'
MOST_ROUNDS = 6  # what is found in one round names what is looked for in the next: a network, its tables, their routes


def use_copy(workspace: Workspace, record: str | None) -> None:
    """Let this workspace stand on a copy of `record`, or on no state, so that what it plans can touch nothing."""
    (workspace.folder / BACKEND_FILE).write_text(LOCAL_BACKEND)
    if record is not None:
        (workspace.folder / COPY_FILE).write_text(record)
    outcome = workspace.run("init", "-input=false", "-no-color", "-reconfigure")
    if outcome.code:
        raise PreconditionFailed(
            f"terraform init failed for {workspace.environment}: {' '.join(outcome.text.split())[-900:]}"
        )


@probe
def plan_with_imports(workspace: Workspace, known: Mapping[str, str] | None = None) -> tuple[Plan, Mapping[str, str]]:
    """The plan in which everything that exists is adopted, and the import id of each address that is.

    Args:
        known: import ids that were found before.

    Raises:
        PreconditionFailed: of something it can't be told whether or which one exists.
    """
    ids = dict(known or {})
    for _ in range(MOST_ROUNDS):
        write_imports(workspace, ids)
        found = plan.fn(workspace)
        more = inventory.find_existing(found.creations)
        if not more:
            return found, ids
        ids |= more
    raise PreconditionFailed(
        f"the inventory of {workspace.environment} still found {', '.join(sorted(more))} after {MOST_ROUNDS} rounds,"
        " expected it to be complete: do they exist in what the plan makes anew?"
    )


def write_imports(workspace: Workspace, ids: Mapping[str, str]) -> None:
    """The next plan brings these resources into the state, each address by its import id."""
    (workspace.folder / IMPORTS_FILE).write_text("\n".join(map(partial(_block, ids), ids)))


def _block(ids: Mapping[str, str], address: str) -> str:
    return f"import {{\n  to = {address}\n  id = {json.dumps(ids[address])}\n}}\n"
