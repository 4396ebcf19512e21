"""Amazon RDS: the database instance."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from tasks import aws
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.residue_kinds import tags_of
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

AVAILABLE_SECONDS = 1800
# By the names with which they are asked for, those with which RDS tells them.
UPKEEP = {
    "PreferredBackupWindow": "PreferredBackupWindow",
    "PreferredMaintenanceWindow": "PreferredMaintenanceWindow",
    "MaxAllocatedStorage": "MaxAllocatedStorage",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "DeletionProtection": "DeletionProtection",
}
GONE = "gone"  # our word for an instance that RDS has no more, and whose backups may be left
HOPELESS = frozenset(
    {"failed", "incompatible-parameters", "incompatible-network", "incompatible-restore", "storage-full"}
)
PASSING = frozenset(
    {"backing-up", "modifying", "storage-optimization", "maintenance", "rebooting", "resetting-master-credentials"}
    | {"configuring-log-exports", "configuring-enhanced-monitoring", "upgrading", "creating", "starting"}
)


@dataclass(frozen=True)
class Settings:
    """What RDS sets to its own defaults in a restored instance unless it is told (D04)."""

    instance_class: str
    subnet_group: str
    security_groups: tuple[str, ...]
    parameter_group: str
    port: int
    storage_type: str
    iam_authentication: bool
    publicly_accessible: bool
    log_exports: tuple[str, ...]


@dataclass(frozen=True, repr=False)
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
    settings: Settings
    arn: str
    address: str | None
    database: str
    master_user: str
    storage_gib: int
    kms_key: str | None
    deletion_protection: bool
    tags: Mapping[str, str]
    resource_id: str
    zone: str
    standby_zone: str | None

    def __str__(self) -> str:
        return f"RDS instance {self.id}"

    def __repr__(self) -> str:
        return f"{self.status!r}{f' with {self.pending} pending' if self.pending else ''}"


@probe
def describe_db_instance(db_identifier: str) -> DBInstance:
    found = find(db_identifier)
    if found is None:
        raise PreconditionFailed(f"there is no RDS instance {db_identifier}, expected one: apply Terraform first")
    return found


@probe
def settle(db_identifier: str) -> DBInstance:
    """The instance as soon as RDS is done with what passes by itself, such as its backup.

    Raises:
        PreconditionFailed: it is in a state that it does not leave by itself. Nothing was changed.
    """

    def is_settled(db: DBInstance) -> bool:
        if db.status not in (*PASSING, "available"):
            raise PreconditionFailed(f"{db} is {db.status!r}, expected 'available'. Look at its events")
        return db.status == "available"

    return wait_until(
        f"RDS instance {db_identifier}",
        lambda: describe_db_instance.fn(db_identifier),
        is_settled,
        timeout_seconds=AVAILABLE_SECONDS,
        expected="'available'",
    )


@action
def set_master_password(environment: str, password: SecretStr) -> None:
    """Give an existing database this password; for one whose creation outlived the run that knew the old one."""
    identifier = f"{PROJECT}-{environment}-db"
    if find(identifier) is None:
        return
    wait_until_available(identifier)
    change_master_password(identifier, password)


def find(identifier: str) -> DBInstance | None:
    rds = _rds()
    try:
        (db,) = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault:
        return None
    return _read(db)


def find_by_resource_id(resource_id: str) -> DBInstance | None:
    """The instance whatever it is called now."""
    asked = [{"Name": "dbi-resource-id", "Values": [resource_id]}]
    found = _rds().describe_db_instances(Filters=asked)["DBInstances"]  # type: ignore[arg-type]
    return _read(found[0]) if found else None


def find_tagged(name: str) -> list[DBInstance]:
    """Every instance that has a tag of this name."""
    pages = _rds().get_paginator("describe_db_instances").paginate()
    found = [_read(db) for page in pages for db in page["DBInstances"]]
    return [db for db in found if name in db.tags]


def describe_upkeep(identifier: str) -> dict[str, Any]:
    """What a restore does not carry over, as ModifyDBInstance takes it."""
    (db,) = _rds().describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    return {asked: db[told] for asked, told in UPKEEP.items() if db.get(told) is not None}  # type: ignore[literal-required]


def modify(db: DBInstance, **wanted: Any) -> None:
    """At once; for what RDS changes without an outage."""
    _rds().modify_db_instance(DBInstanceIdentifier=db.id, ApplyImmediately=True, **wanted)


def tag(db: DBInstance, marks: Mapping[str, str]) -> None:
    _rds().add_tags_to_resource(ResourceName=db.arn, Tags=[{"Key": k, "Value": v} for k, v in marks.items()])


def untag(db: DBInstance, names: Iterable[str]) -> None:
    _rds().remove_tags_from_resource(ResourceName=db.arn, TagKeys=list(names))


def change_master_password(identifier: str, password: SecretStr) -> None:
    """Give the master user this password and wait until it opens the database."""
    _rds().modify_db_instance(
        DBInstanceIdentifier=identifier, MasterUserPassword=password.get_secret_value(), ApplyImmediately=True
    )
    wait_until_available(identifier)


def reboot_with_failover(identifier: str) -> None:
    """Have the standby promoted. One that is being rebooted is left to it: an answer may have been lost.

    Raises:
        PreconditionFailed: RDS does something else with it now. Nothing was changed.
    """
    rds = _rds()
    try:
        rds.reboot_db_instance(DBInstanceIdentifier=identifier, ForceFailover=True)
    except rds.exceptions.InvalidDBInstanceStateFault as error:
        db = describe_db_instance.fn(identifier)
        if db.status != "rebooting":
            raise PreconditionFailed(f"{db} is {db.status!r}, expected 'available'. Wait for it, then again") from error


def wait_until_available(
    identifier: str, *, timeout_seconds: float = AVAILABLE_SECONDS, usual_seconds: float | None = None
) -> DBInstance:
    """
    Raises:
        VerificationFailed: the instance reached a state that it does not leave by itself, or is gone.
        WaitTimedOut: it is not available yet.
    """

    def is_available(db: DBInstance | None) -> bool:
        if db is None or db.status in HOPELESS:
            raise VerificationFailed(
                f"RDS instance {identifier} is {db.status if db else 'gone'!r}, expected 'available'"
            )
        return db.status == "available" and not db.pending

    found = wait_until(
        f"RDS instance {identifier}",
        lambda: find(identifier),
        is_available,
        timeout_seconds=timeout_seconds,
        usual_seconds=usual_seconds,
        expected="'available' with nothing pending",
    )
    assert found is not None  # noqa: S101 - is_available has said so
    return found


def _rds() -> "RDSClient":
    client: RDSClient = aws.client("rds")
    return client


def _read(db: Any) -> DBInstance:
    groups = db.get("DBParameterGroups", [])
    settings = Settings(
        instance_class=db["DBInstanceClass"],
        subnet_group=db.get("DBSubnetGroup", {}).get("DBSubnetGroupName", ""),
        security_groups=tuple(sorted(one["VpcSecurityGroupId"] for one in db.get("VpcSecurityGroups", []))),
        parameter_group=groups[0]["DBParameterGroupName"] if groups else "",
        port=db.get("Endpoint", {}).get("Port") or db.get("DbInstancePort") or 0,
        storage_type=db.get("StorageType", ""),
        iam_authentication=db.get("IAMDatabaseAuthenticationEnabled", False),
        publicly_accessible=db.get("PubliclyAccessible", False),
        log_exports=tuple(sorted(db.get("EnabledCloudwatchLogsExports", []))),
    )
    return DBInstance(
        id=db["DBInstanceIdentifier"],
        status=db["DBInstanceStatus"],
        multi_az=db["MultiAZ"],
        engine_version=db["EngineVersion"],
        encrypted=db["StorageEncrypted"],
        backup_retention_days=db["BackupRetentionPeriod"],
        latest_restorable_time=db.get("LatestRestorableTime"),
        parameters=groups[0]["ParameterApplyStatus"] if groups else "none",
        pending=tuple(sorted(db.get("PendingModifiedValues", {}))),
        settings=settings,
        arn=db["DBInstanceArn"],
        address=db.get("Endpoint", {}).get("Address"),
        database=db.get("DBName", "postgres"),
        master_user=db["MasterUsername"],
        storage_gib=db["AllocatedStorage"],
        kms_key=db.get("KmsKeyId"),
        deletion_protection=db.get("DeletionProtection", False),
        tags=tags_of(db.get("TagList")),
        resource_id=db["DbiResourceId"],
        zone=db.get("AvailabilityZone", ""),
        standby_zone=db.get("SecondaryAvailabilityZone"),
    )
