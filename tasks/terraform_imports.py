"""What Terraform's state owns: resources that exist are brought in, and others are let go without touching them."""

import json
from collections.abc import Mapping, Sequence

from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe
from tasks.terraform import LOCK_TIMEOUT, Workspace

IMPORTS_FILE = "imports.tf"


@probe
def list_addresses(workspace: Workspace) -> tuple[str, ...]:
    """Every managed resource in the state; none when there is no state."""
    outcome = workspace.run("state", "list")
    if outcome.code and "No state file was found" not in outcome.text:
        raise PreconditionFailed(f"terraform state list failed for {workspace.environment}: {outcome.text[-900:]}")
    return tuple(line for line in outcome.text.splitlines() if outcome.code == 0 and ".data." not in f".{line}")


@action
def forget(workspace: Workspace, addresses: Sequence[str]) -> None:
    """Take those of them that are in the state out of it; what they stand for stays as it is."""
    known = [one for one in list_addresses.fn(workspace) if one in set(addresses)]
    if not known:
        return
    outcome = workspace.run("state", "rm", LOCK_TIMEOUT, *known)
    if outcome.code:
        raise PreconditionFailed(f"terraform state rm failed for {workspace.environment}: {outcome.text[-900:]}")


def write_imports(workspace: Workspace, ids: Mapping[str, str]) -> None:
    """The next plan brings these resources into the state, each address by its import id."""
    blocks = (f"import {{\n  to = {address}\n  id = {json.dumps(one)}\n}}\n" for address, one in ids.items())
    (workspace.folder / IMPORTS_FILE).write_text("\n".join(blocks))
