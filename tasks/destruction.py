"""What a drill of a total loss takes away: the database instance, or all that Terraform built but the backups."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks import aws, infrastructure, rds, terraform
from tasks.change_lock import Lease
from tasks.environment import EnvironmentName
from tasks.kinds import action, probe
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

SPARED = "module.backups"
BACKED_UP_SECONDS = 1800  # AWS: RDS ships the log every 5 minutes
DELETED_SECONDS = 1800
NEVER = datetime.fromtimestamp(0, UTC)


@probe
def wait_until_backed_up(identifier: str, written: datetime) -> None:
    """What was written until then is in the automated backups."""
    wait_until(
        f"the backups of RDS instance {identifier}",
        lambda: rds.describe_db_instance.fn(identifier).latest_restorable_time or NEVER,
        lambda latest: latest >= written,
        timeout_seconds=BACKED_UP_SECONDS,
        expected=f"that they reach {written.isoformat()}",
    )


@action
def delete_database(identifier: str) -> None:
    """Without a last snapshot; RDS retains its automated backups."""
    found = rds.find(identifier)
    if found and found.status != "deleting":
        _rds().delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    wait_while_deleting.fn(identifier)


@probe
def wait_while_deleting(identifier: str) -> None:
    wait_until(
        f"RDS instance {identifier}",
        lambda: rds.find(identifier),
        lambda found: found is None or found.status != "deleting",
        timeout_seconds=DELETED_SECONDS,
        expected="that it is gone",
    )


@action
def destroy(environment: EnvironmentName, image: str, lease: Lease) -> None:
    """As `terraform destroy` would, started by mistake, save for the backups: those a drill never touches.

    Args:
        image: Digest of the release that runs; once nothing does, nobody else can tell.
    """
    inputs = infrastructure.read_inputs(environment, image)
    with terraform.workspace(environment, inputs.variables, inputs.secrets) as workspace:
        terraform.init.fn(workspace)
        terraform.free_state.fn(workspace)
        modules = {".".join(one.split(".")[:2]) for one in terraform.list_resources.fn(workspace)} - {SPARED}
        built = sorted(one for one in modules if one.startswith("module."))
        if built:  # without a target it would be everything
            plan = terraform.plan_destruction.fn(workspace, *built)
            lease.require_held()
            terraform.apply.fn(workspace, plan)


def _rds() -> "RDSClient":
    client: RDSClient = aws.client("rds")
    return client
