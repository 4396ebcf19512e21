"""Terraform owns the database that serves: its record is moved to another instance, and nothing is replaced."""

import json
from collections.abc import Iterable
from typing import Any

from tasks import aws, infrastructure, terraform
from tasks import database_recovery as recovery
from tasks.database_recovery import Recovery
from tasks.database_state import find_resource_id
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed
from tasks.kinds import action
from tasks.rds import DBInstance
from tasks.report import say
from tasks.terraform import LOCK_TIMEOUT, Workspace
from tasks.terraform_plan import Change, Plan, require_no_loss

LOGS = {name: f'module.rds.aws_cloudwatch_log_group.recovered["{name}"]' for name in ("postgresql", "upgrade")}
# What says which database it is, or whose settings RDS chose itself when it was restored.
OWN = ("module.rds.", "module.monitoring.", "module.outputs.")
# Made anew for the database that serves now; what was replicated of the one before stays there until it expires.
FOLLOWING = ("replace", "aws_db_instance_automated_backups_replication")
MOVED_FILE, IMPORTS_FILE = "moved.tfstate", "adopted_logs.tf"


def adopt(plan: Recovery, db: DBInstance) -> None:
    """Until a fresh plan is empty.

    Raises:
        PreconditionFailed: the code asks for more than this; nothing of it was applied. The database serves.
    """
    environment = plan.environment
    inputs = infrastructure.read_inputs(environment)
    variables = {**inputs.variables, "db_identifier": db.id}
    with terraform.workspace(environment, variables, inputs.secrets) as workspace:
        terraform.init(workspace)
        terraform.free_state(workspace)
        recovery.record(plan, adopting_at=recovery.now())
        move_record(workspace, db)
        adopt_logs(workspace, db)
        changes = terraform.plan(workspace)
        infrastructure.show_plan(changes)
        require_only_adoption(changes)
        if not changes.is_empty:
            terraform.apply(workspace, changes)
        terraform.require_nothing_to_do(workspace)
    say(f"Terraform's state has {db}, {db.resource_id}, and a fresh plan is empty")


@action
def move_record(workspace: Workspace, db: DBInstance) -> None:
    """The state's database is this instance from now on; the next refresh reads all else of it.

    In one step, where rm and import leave a while in which Terraform would make a new database. What RDS does not
    tell, such as the version of the password, stays.

    Raises:
        PreconditionFailed: the state has no database, or Terraform does not take it. Nothing was changed.
    """
    if find_resource_id(workspace.environment) == db.resource_id:
        return
    state = json.loads(workspace.require("state", "pull"))
    moved = {"id": db.resource_id, "resource_id": db.resource_id, "identifier": db.id}
    records = [one["attributes"] for one in _database_records(state)]
    if not records:
        raise PreconditionFailed(
            f"Terraform's state of {workspace.environment} has no aws_db_instance, expected one. The database serves."
            " Bring the state back: python -m flows.recover_infrastructure"
            f" --environment {workspace.environment} --state inventory"
        )
    for record in records:
        record.update(moved)
    (workspace.folder / MOVED_FILE).write_text(json.dumps({**state, "serial": state["serial"] + 1}))
    workspace.require("state", "push", LOCK_TIMEOUT, MOVED_FILE)


@action
def adopt_logs(workspace: Workspace, db: DBInstance) -> None:
    """Those of the database before this one, where it had its own, are kept and let go; this one's are brought in."""
    wanted = _find_logs(workspace.environment, db)
    known = set(workspace.require("state", "list").split())
    if others := [address for address in LOGS.values() if address in known]:
        workspace.require("state", "rm", LOCK_TIMEOUT, *others)
    blocks = (f"import {{\n  to = {address}\n  id = {json.dumps(name)}\n}}\n" for address, name in wanted.items())
    (workspace.folder / IMPORTS_FILE).write_text("\n".join(blocks))


def require_only_adoption(plan: Plan) -> None:
    """
    Raises:
        PreconditionFailed: something else would change with it.
    """
    require_no_loss(plan, ())
    if others := list(_others(plan.changes)):
        raise PreconditionFailed(
            f"the plan would change more than the database's place: {'; '.join(map(str, others))}. Expected only"
            f" {', '.join(one + '*' for one in OWN)}, and nothing destroyed. The database serves: run"
            " deploy_infrastructure for what is pending, then start this again"
        )


def _others(changes: Iterable[Change]) -> Iterable[Change]:
    for one in changes:
        is_own = one.address.startswith(OWN) and one.action not in ("delete", "replace")
        if not is_own and (one.action, one.type) != FOLLOWING:
            yield one


def _database_records(state: dict[str, Any]) -> Iterable[dict[str, Any]]:
    found = (one for one in state["resources"] if one["type"] == "aws_db_instance" and one["mode"] == "managed")
    return (instance for resource in found for instance in resource["instances"])


def _find_logs(environment: str, db: DBInstance) -> dict[str, str]:
    """The log groups that RDS made for an instance of another name than Terraform's own; their addresses."""
    if db.id == f"{PROJECT}-{environment}-db":
        return {}
    prefix = f"/aws/rds/instance/{db.id}/"
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    found = {one["logGroupName"].removeprefix(prefix) for one in groups}
    return {address: f"{prefix}{name}" for name, address in LOGS.items() if name in found}
