"""Automated backups: one at the beginning, one a day in the backup window, and what is kept when the instance goes."""

from collections.abc import Callable
from typing import Any

from moto.core.utils import utcnow
from moto.rds.responses import RDSResponse

from lab.extend import AWSError, operation
from lab.rds_archiving import ship
from lab.rds_backups import AutomatedBackups, new_backup_name
from lab.rds_instances import Instance
from lab.rds_pages import page
from lab.rds_snapshots import BACK_UP, fill, record

# In AWS seconds: a backup that failed is tried again.
TRY_AGAIN = 300
All = Callable[[], list[AutomatedBackups]]


def install(every: All, forget: Callable[[AutomatedBackups], None]) -> None:
    """`every` gives the automated backups that there are, `forget` ends those of a deleted instance."""

    @operation(RDSResponse, "DescribeDBInstanceAutomatedBackups")
    def describe_db_instance_automated_backups(self: Any) -> dict[str, Any]:
        found = _wanted(self, [each for each in every() if each.exist and each.backend is self.backend])
        return page(self, "DBInstanceAutomatedBackups", [described(each) for each in found])

    @operation(RDSResponse, "DeleteDBInstanceAutomatedBackup")
    def delete_db_instance_automated_backup(self: Any) -> dict[str, Any]:
        resource, arn = self._get_param("DbiResourceId"), self._get_param("DBInstanceAutomatedBackupsArn")
        found = require(every(), self.backend, resource, arn)
        if not found.retained:
            raise AWSError(
                "InvalidDBInstanceAutomatedBackupState",
                f"The automated backup of {found.db.db_instance_identifier} is {found.status}: only a retained one "
                "can be deleted.",
            )
        answer = described(found) | {"Status": "deleting"}
        forget(found)
        return {"DBInstanceAutomatedBackup": answer}


def require(every: list[AutomatedBackups], backend: Any, resource: str | None, arn: str | None) -> AutomatedBackups:
    """The automated backups of this DbiResourceId or ARN in the backend's Region."""
    for each in (one for one in every if one.backend is backend):
        if each.exist and (each.arn == arn if arn else each.db.dbi_resource_id.lower() == (resource or "").lower()):
            return each
    raise AWSError("DBInstanceAutomatedBackupNotFound", f"Automated backup {arn or resource} not found.")


def _wanted(self: Any, found: list[AutomatedBackups]) -> list[AutomatedBackups]:
    resource, arn = self._get_param("DbiResourceId"), self._get_param("DBInstanceAutomatedBackupsArn")
    if resource or arn:
        found = [require(found, self.backend, resource, arn)]
    if name := self._get_param("DBInstanceIdentifier"):
        found = [each for each in found if each.db.db_instance_identifier == name.lower()]
        if not found:
            raise AWSError("DBInstanceAutomatedBackupNotFound", f"Automated backup of {name} not found.")
    for each in self.params.get("Filters", []):
        found = [one for one in found if _fits(one, each["Name"], each["Values"])]
    return found


def _fits(backups: AutomatedBackups, name: str, values: list[str]) -> bool:
    facts = {
        "status": {backups.status},
        "db-instance-id": {backups.db.db_instance_identifier, backups.db.db_instance_arn},
        "dbi-resource-id": {backups.db.dbi_resource_id},
    }
    if name not in facts:
        raise AWSError("InvalidParameterValue", f"Unrecognized filter name: {name}")
    return bool(facts[name] & set(values))


def described(backups: AutomatedBackups) -> dict[str, Any]:
    """A replica tells the ARN and the Region of its source, and nothing of a network."""
    db, is_here = backups.db, backups.backend is backups.db.backend
    group = getattr(db, "db_subnet_group", None) if is_here else None
    earliest, latest = backups.window or (None, None)
    facts = {
        "DBInstanceArn": db.db_instance_arn,
        "DbiResourceId": db.dbi_resource_id,
        "DBInstanceAutomatedBackupsArn": backups.arn,
        "DBInstanceIdentifier": db.db_instance_identifier,
        "Region": db.region,
        "Status": backups.status,
        "RestoreWindow": {"EarliestTime": earliest, "LatestTime": latest} if latest else {},
        "AllocatedStorage": db.allocated_storage,
        "Port": db.port,
        "AvailabilityZone": db.availability_zone if is_here else None,
        "VpcId": group.vpc_id if group else None,
        "InstanceCreateTime": db.instance_create_time,
        "MasterUsername": db.master_username,
        "Engine": db.engine,
        "EngineVersion": db.engine_version,
        "LicenseModel": db.license_model,
        "OptionGroupName": db.option_group_name,
        "Encrypted": db.storage_encrypted,
        "KmsKeyId": db.kms_key_id,
        "StorageType": db.storage_type,
        "BackupRetentionPeriod": db.backup_retention_period,
        "PreferredBackupWindow": db.preferred_backup_window,
        "IAMDatabaseAuthenticationEnabled": db.iam_database_authentication_enabled,
        "BackupTarget": "region",
        "DBInstanceAutomatedBackupsReplications": backups.replications or None,
        "TagList": db.tags,
    }
    return {name: value for name, value in facts.items() if value is not None}


def back_up(instance: Instance) -> None:
    """A real base backup, the automated snapshot that it is, and the log up to now."""
    backups, lab = instance.backups, instance.lab
    with instance.status("backing-up", BACK_UP):
        instance.tell("DB_INSTANCE_BACKUP_START")
        began = utcnow()
        with instance.model() as db:
            backups.next_backup = lab.clock.deadline(TRY_AGAIN)
            snapshot = record(lab, db, new_backup_name(db), "automated", seconds=BACK_UP)
        base = fill(instance, snapshot, backups.folder / f"{began:%Y%m%dT%H%M%S.%f}")
        if base is None:
            with instance.model():
                del snapshot.backend.database_snapshots[snapshot.db_snapshot_identifier]
            instance.tell("DB_INSTANCE_BACKUP_FAILED")
            return
        with instance.model():
            backups.bases.append(base)
        ship(instance)
    with instance.model():
        instance.tell("DB_INSTANCE_BACKUP_FINISH")


def back_up_daily(instance: Instance) -> None:
    back_up(instance)
    instance.settle("available")
