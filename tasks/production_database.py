"""The database that serves; when it is gone, what its retained backups and Terraform's state still say of it."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from tasks import db_snapshots, rds, restore_point, secretsmanager, swap
from tasks.database_state import find_attributes
from tasks.environment import Environment
from tasks.errors import PreconditionFailed
from tasks.kinds import probe
from tasks.postgres import Address
from tasks.rds import GONE, DBInstance, Settings
from tasks.restore_point import RestorePoint


@probe
def describe_production(environment: Environment) -> DBInstance:
    """The instance that serves, settled; its status is 'gone' when RDS has it no more.

    Raises:
        PreconditionFailed: it is in a state that it does not leave by itself, or nothing is known of it any more.
    """
    if rds.find(environment.db_identifier):
        return rds.settle.fn(environment.db_identifier)
    return _remember(environment)


@probe
def choose_point(production: DBInstance, asked: str, now: datetime) -> RestorePoint:
    """The backup that `asked` means. A gone instance's last restorable moment stands for all that come after it.

    Raises:
        PreconditionFailed: there is no such backup.
    """
    snapshots = db_snapshots.list_available_snapshots.fn(production.id)
    if production.status != GONE:
        window = db_snapshots.describe_restore_window.fn(production.id)
    elif (kept := db_snapshots.find_retained(production.id)) is None:
        return restore_point.choose_snapshot(asked, snapshots)
    else:
        window = kept.window
    point = restore_point.choose(asked, snapshots, window, now, seed="", recorded=None)
    if production.status == GONE and point.time and point.time > window.latest:
        return restore_point.at(window.latest)
    return point


def read_address(environment: str, db: DBInstance) -> Address:
    """This instance, entered with production's own user and password.

    Raises:
        PreconditionFailed: the secret holds nothing, or the instance has no address.
    """
    name = secretsmanager.secret_name(environment)
    value = secretsmanager.read_value(name)
    if value is None or db.address is None:
        raise PreconditionFailed(
            f"{'secret ' + name if value is None else db} has {'no value' if value is None else 'no address'},"
            " expected one. Look at it; nothing was changed"
        )
    return replace(Address.of_secret(value), host=db.address, port=db.settings.port)


def enter(environment: str, resource_id: str) -> Address:
    """This very instance, by whatever name, as the application enters it."""
    return read_address(environment, swap.settle(resource_id))


def _remember(environment: Environment) -> DBInstance:
    known = find_attributes(environment.environment, environment.db_identifier)
    if known is None:
        raise PreconditionFailed(
            f"there is no RDS instance {environment.db_identifier} and Terraform's state knows none, expected one of"
            " the two. When all is lost: python -m flows.recover_infrastructure"
            f" --environment {environment.environment} --state backup"
        )
    kept = db_snapshots.find_retained(environment.db_identifier)
    return _from_state(known, kept.resource_id if kept else known["resource_id"])


def _from_state(known: dict[str, Any], resource_id: str) -> DBInstance:
    settings = Settings(
        instance_class=known["instance_class"],
        subnet_group=known["db_subnet_group_name"],
        security_groups=tuple(sorted(known["vpc_security_group_ids"])),
        parameter_group=known["parameter_group_name"],
        port=known["port"],
        storage_type=known["storage_type"],
        iam_authentication=bool(known["iam_database_authentication_enabled"]),
        publicly_accessible=known["publicly_accessible"],
        log_exports=tuple(sorted(known["enabled_cloudwatch_logs_exports"] or ())),
    )
    return DBInstance(
        id=known["identifier"],
        status=GONE,
        multi_az=known["multi_az"],
        engine_version=known["engine_version_actual"],
        encrypted=known["storage_encrypted"],
        backup_retention_days=known["backup_retention_period"],
        latest_restorable_time=None,
        parameters="none",
        pending=(),
        settings=settings,
        arn=known["arn"],
        address=None,
        database=known["db_name"],
        master_user=known["username"],
        storage_gib=known["allocated_storage"],
        kms_key=known["kms_key_id"] or None,
        deletion_protection=known["deletion_protection"],
        tags=known["tags_all"],
        resource_id=resource_id,
        zone=known.get("availability_zone", ""),
        standby_zone=None,
    )
