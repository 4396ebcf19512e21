"""Terraform owns the database that serves: the one before it is let go, this one is brought in, nothing is replaced."""

from collections.abc import Iterable

from tasks import aws, infrastructure, terraform, terraform_imports
from tasks.database_state import find_resource_id
from tasks.environment import PROJECT, EnvironmentName
from tasks.errors import PreconditionFailed
from tasks.rds import DBInstance
from tasks.report import say
from tasks.terraform_plan import Change, Plan, require_no_loss

DATABASE = "module.rds.aws_db_instance.main"
LOGS = {name: f'module.rds.aws_cloudwatch_log_group.recovered["{name}"]' for name in ("postgresql", "upgrade")}
# What says which database it is, or whose settings RDS chose itself when it was restored.
OWN = ("module.rds.", "module.monitoring.", "module.outputs.")


def adopt(environment: EnvironmentName, db: DBInstance) -> None:
    """Until a fresh plan is empty.

    Raises:
        PreconditionFailed: the code asks for more than this; nothing of it was applied. The database serves.
    """
    inputs = infrastructure.read_inputs(environment)
    variables = {**inputs.variables, "db_identifier": db.id}
    with terraform.workspace(environment, variables, inputs.secrets) as workspace:
        terraform.init(workspace)
        terraform.free_state(workspace)
        if find_resource_id(environment) != db.resource_id:
            terraform_imports.forget(workspace, (DATABASE, *LOGS.values()))
            terraform_imports.write_imports(workspace, {DATABASE: db.id, **_find_logs(environment, db)})
        plan = terraform.plan(workspace)
        infrastructure.show_plan(plan)
        require_only_adoption(plan)
        if not plan.is_empty:
            terraform.apply(workspace, plan)
        terraform.require_nothing_to_do(workspace)
    say(f"Terraform's state has {db}, {db.resource_id}, and a fresh plan is empty")


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
    return (one for one in changes if not one.address.startswith(OWN) or one.action in ("delete", "replace"))


def _find_logs(environment: str, db: DBInstance) -> dict[str, str]:
    """Log groups that RDS made itself for an instance of another name than Terraform's own."""
    if db.id == f"{PROJECT}-{environment}-db":
        return {}
    prefix = f"/aws/rds/instance/{db.id}/"
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    found = {one["logGroupName"].removeprefix(prefix) for one in groups}
    return {address: f"{prefix}{name}" for name, address in LOGS.items() if name in found}
