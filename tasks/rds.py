"""Amazon RDS: the database instance."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from tasks import aws
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

AVAILABLE_SECONDS = 1800
HOPELESS = frozenset(
    {"failed", "incompatible-parameters", "incompatible-network", "incompatible-restore", "storage-full"}
)


@dataclass(frozen=True)
class DBInstance:
    id: str
    status: str
    multi_az: bool
    engine_version: str
    encrypted: bool
    backup_retention_days: int
    latest_restorable_time: datetime | None
    parameters: str
    pending: tuple[str, ...]

    def __str__(self) -> str:
        return f"RDS instance {self.id}"


@probe
def describe_db_instance(db_identifier: str) -> DBInstance:
    found = _find(db_identifier)
    if found is None:
        raise PreconditionFailed(f"there is no RDS instance {db_identifier}, expected one: apply Terraform first")
    return found


@action
def set_master_password(environment: str, password: SecretStr) -> None:
    """Give an existing database this password; for one whose creation outlived the run that knew the old one."""
    identifier = f"{PROJECT}-{environment}-db"
    if _find(identifier) is None:
        return
    _wait_until_available(identifier)
    _rds().modify_db_instance(
        DBInstanceIdentifier=identifier, MasterUserPassword=password.get_secret_value(), ApplyImmediately=True
    )
    _wait_until_available(identifier)


def _wait_until_available(identifier: str) -> None:
    def is_available(db: DBInstance | None) -> bool:
        if db is None or db.status in HOPELESS:
            raise VerificationFailed(
                f"RDS instance {identifier} is {db.status if db else 'gone'!r}, expected 'available'"
            )
        return db.status == "available" and not db.pending

    wait_until(
        f"RDS instance {identifier}",
        lambda: _find(identifier),
        is_available,
        timeout_seconds=AVAILABLE_SECONDS,
        expected="'available' with nothing pending",
    )


def _rds() -> "RDSClient":
    client: RDSClient = aws.client("rds")
    return client


def _find(identifier: str) -> DBInstance | None:
    rds = _rds()
    try:
        (db,) = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault:
        return None
    groups = db.get("DBParameterGroups", [])
    return DBInstance(
        db["DBInstanceIdentifier"],
        db["DBInstanceStatus"],
        db["MultiAZ"],
        db["EngineVersion"],
        db["StorageEncrypted"],
        db["BackupRetentionPeriod"],
        db.get("LatestRestorableTime"),
        groups[0]["ParameterApplyStatus"] if groups else "none",
        tuple(sorted(db.get("PendingModifiedValues", {}))),
    )
