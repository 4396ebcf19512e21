"""The replica of the automated backups in another Region (P69): is it there, how far behind, and how is it restored."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tasks import aws
from tasks.environment import Environment
from tasks.errors import VerificationFailed
from tasks.finding import Attention
from tasks.kinds import probe

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

NOT_ENABLED = "not enabled"
# RDS copies each log as soon as it is shipped, every five minutes: six times that is more than a slow copy.
LAG_SECONDS = 1800


@dataclass(frozen=True)
class Replica:
    """Automated backups that RDS replicates, or has replicated, into the Region of their ARN."""

    arn: str
    resource_id: str
    status: str
    latest: datetime | None
    retention_days: int
    key: str | None

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    def __str__(self) -> str:
        reach = f"restorable up to {self.latest:%Y-%m-%d %H:%M:%S} UTC" if self.latest else "not restorable yet"
        return f"{self.status} in {self.region}, {reach}, kept {self.retention_days} days"


def describe_lack(environment: Environment) -> str:
    return (
        f"whoever loses {environment.region} loses the backups too. For a replica set backup_replica = true in"
        f" terraform/environments/{environment.environment}/terraform.tfvars and run deploy_infrastructure"
    )


def require_found(arn: str) -> Replica:
    """
    Raises:
        VerificationFailed: the replica that Terraform made is gone.
    """
    rds: RDSClient = aws.client("rds", arn.split(":")[3])
    try:
        (found,) = rds.describe_db_instance_automated_backups(DBInstanceAutomatedBackupsArn=arn)[
            "DBInstanceAutomatedBackups"
        ]
    except rds.exceptions.DBInstanceAutomatedBackupNotFoundFault as error:
        raise VerificationFailed(
            f"{arn} is gone, expected a replica of the backups. deploy_infrastructure makes another"
        ) from error
    return Replica(
        arn,
        found["DbiResourceId"],
        found["Status"].lower(),  # RDS has told it in capitals, too
        found.get("RestoreWindow", {}).get("LatestTime"),
        found["BackupRetentionPeriod"],
        found.get("KmsKeyId"),
    )


def judge(replica: Replica, resource_id: str | None, now: datetime) -> str:
    """What is seen of it.

    Args:
        resource_id: of the database that serves; None when there is none to compare with.

    Raises:
        Attention: the first copy is on its way.
        VerificationFailed: it is another database's, replicates no more, is not encrypted or too far behind.
    """
    if resource_id not in (replica.resource_id, None):
        raise VerificationFailed(
            f"{replica}, of {replica.resource_id}; expected the database that serves now, {resource_id}:"
            " deploy_infrastructure replicates that one"
        )
    if replica.status == "pending":
        raise Attention(f"{replica}: the first copy is on its way")
    if replica.status != "replicating":
        raise VerificationFailed(
            f"{replica}; expected 'replicating'. RDS stops by itself when a key of either Region is disabled or deleted"
        )
    if replica.key is None:
        raise VerificationFailed(f"{replica}, not encrypted, expected it to be")
    lag = (now - (replica.latest or now)).total_seconds()
    if lag > LAG_SECONDS:
        raise VerificationFailed(f"{replica}; that is {lag:.0f} s ago, expected at most {LAG_SECONDS} s")
    return f"{replica}, {lag:.0f} s behind"


@probe
def tell(environment: Environment, instance_class: str) -> tuple[str, ...]:
    """What there is, and the command that restores it.

    Nothing here runs it: the copy belongs into a network of that Region, which nobody has built, and what this process
    can't reach it can't verify.
    """
    if environment.backup_replica_arn is None:
        return (f"{NOT_ENABLED}: {describe_lack(environment)}",)
    replica = require_found(environment.backup_replica_arn)
    return (
        f"{replica.arn}: {replica}",
        "restored by the following, never tried by a procedure. Without --db-subnet-group-name,"
        f" --vpc-security-group-ids and --db-parameter-group-name of {replica.region} RDS takes its defaults (D04):",
        restore_command(replica, environment.db_identifier, instance_class),
    )


def restore_command(replica: Replica, identifier: str, instance_class: str) -> str:
    """To the newest point, under the name that it has at home: names are unique in a Region only."""
    return (
        f"aws rds restore-db-instance-to-point-in-time --region {replica.region}"
        f" --source-db-instance-automated-backups-arn {replica.arn} --use-latest-restorable-time"
        f" --target-db-instance-identifier {identifier} --db-instance-class {instance_class}"
        " --no-publicly-accessible --no-auto-minor-version-upgrade --copy-tags-to-snapshot --deletion-protection"
    )
