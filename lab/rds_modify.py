"""ModifyDBInstance: what counts at once, what waits for the maintenance window, and the real work of both."""

import datetime
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from moto.rds.models import MasterUserSecret, RDSBackend
from psycopg2 import sql

from lab.extend import AWSError, Method, around
from lab.postgres import choose_port
from lab.rds_automated_backups import back_up
from lab.rds_catalog import require_class, require_storage, require_upgrade, require_version
from lab.rds_instances import Instance, utc_now
from lab.rds_lifecycle import SHOWN_AFTER, other_zone
from lab.rds_requests import require_family, require_password, require_port, require_retention

# Typical times of AWS, in AWS seconds.
MODIFY, OPTIMIZE_STORAGE, UPGRADE, RESET_CREDENTIALS = 60, 360, 300, 30
RENAME = 600  # "The new DNS name for the renamed DB instance becomes effective in about 10 minutes"
MASK = "****"
# Wait for the maintenance window unless ApplyImmediately: moto's name -> PendingModifiedValues' name.
DEFERRED = {
    "allocated_storage": "AllocatedStorage",
    "ca_certificate_identifier": "CACertificateIdentifier",
    "db_instance_class": "DBInstanceClass",
    "engine_version": "EngineVersion",
    "iops": "Iops",
    "license_model": "LicenseModel",
    "multi_az": "MultiAZ",
    "new_db_instance_identifier": "DBInstanceIdentifier",
    "storage_throughput": "StorageThroughput",
    "storage_type": "StorageType",
}
ATTRIBUTES = {wire: name for name, wire in DEFERRED.items()} | {"BackupRetentionPeriod": "backup_retention_period"}
WITH_OUTAGE = {"DBInstanceClass", "Port"}
MODIFIABLE = ("available", "storage-optimization", "incompatible-parameters")
# Not modifications by themselves.
MANNER = {"db_instance_identifier", "apply_immediately", "allow_major_version_upgrade"}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK_MINUTES = 7 * 24 * 60
Find = Callable[[Any], Instance]


def install(find: Find) -> None:
    MasterUserSecret._generate_secret_string = _generate_secret_string
    MasterUserSecret.rotate_secret = _rotate_secret

    @around(RDSBackend, "modify_db_instance")
    def modify_db_instance(original: Method, self: Any, identifier: str, asked: Any) -> Any:
        db = self.describe_db_instances(identifier)[0]
        wanted = {name: value for name, value in dict(asked).items() if value is not None}
        instance = find(db)
        require_modifiable(instance, wanted)
        require_values(self, db, wanted)
        password = wanted.pop("master_user_password", None)
        soon = {"Port": port} if (port := wanted.pop("db_port_number", None)) not in (None, db.port) else {}
        later = deferred(db, wanted)
        original(self, identifier, wanted)
        if wanted.get("rotate_master_user_password") or wanted.get("manage_master_user_password"):
            password = db._master_user_password
        if password:
            soon["MasterUserPassword"] = MASK
        _note(db, wanted)
        db.pending_modified_values |= later | soon
        due = set(db.pending_modified_values) if wanted.get("apply_immediately") else set(soon)
        if due:
            instance.begin(modify, due, password)
        return db


def _generate_secret_string(self: Any) -> str:
    """A password of its own for each instance; moto's are all the same."""
    self.resource._master_user_password = secrets.token_urlsafe(21)
    credentials = {"username": self.resource.master_username, "password": self.resource._master_user_password}
    return json.dumps(credentials)


def _rotate_secret(self: Any) -> None:
    self._status = "rotating"
    value = self._generate_secret_string()
    self.secretsmanager.put_secret_value(
        secret_id=self.secret.arn,
        secret_string=value,
        secret_binary=None,
        client_request_token=None,
        version_stages=["AWSCURRENT"],
    )


def _note(db: Any, wanted: Mapping[str, Any]) -> None:
    if "enable_performance_insights" in wanted:
        db.performance_insights_enabled = wanted["enable_performance_insights"]
        db.performance_insights_retention_period = 7 if db.performance_insights_enabled else None


def require_modifiable(instance: Instance, wanted: Mapping[str, Any]) -> None:
    if instance.changing and instance.db.status == "storage-optimization" and "allocated_storage" in wanted:
        raise AWSError(
            "InvalidParameterCombination",
            "You can't currently modify the storage of this DB instance because the previous storage change is "
            "being optimized.",
        )
    if instance.changing or instance.db.status not in MODIFIABLE:
        raise AWSError("InvalidDBInstanceState", "Database instance is not in available state.")
    if not set(wanted) - MANNER:
        raise AWSError("InvalidParameterCombination", "No modifications were requested")


def require_values(backend: Any, db: Any, wanted: dict[str, Any]) -> None:
    if "engine_version" in wanted:
        wanted["engine_version"] = require_version(wanted["engine_version"])
        require_upgrade(db.engine_version, wanted["engine_version"])
    if "db_instance_class" in wanted:
        require_class(wanted["db_instance_class"], db.engine_version)
    if "allocated_storage" in wanted:
        wanted["allocated_storage"] = grown(db, wanted["allocated_storage"])
        require_storage(wanted["allocated_storage"], wanted.get("storage_type", db.storage_type))
    if db.manage_master_user_password and wanted.get("manage_master_user_password"):
        del wanted["manage_master_user_password"]  # it is so already; moto would make a second secret
    if "master_user_password" in wanted:
        _require_own_password(db, wanted)
    require_retention(wanted.get("backup_retention_period"))
    require_port(wanted.get("db_port_number"))
    if "db_parameter_group_name" in wanted:
        groups = backend.describe_db_parameter_groups({"db_parameter_group_name": wanted["db_parameter_group_name"]})
        require_family(groups[0])
    if new := wanted.get("new_db_instance_identifier"):
        backend._validate_db_identifier(new)
        if new.lower() != db.db_instance_identifier and new in backend.databases:
            raise AWSError("DBInstanceAlreadyExists", "DB instance already exists")


def _require_own_password(db: Any, wanted: Mapping[str, Any]) -> None:
    require_password(wanted["master_user_password"])
    managed = wanted.get("manage_master_user_password", db.manage_master_user_password)
    if managed:
        raise AWSError(
            "InvalidParameterCombination",
            "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled.",
        )


def grown(db: Any, gibibytes: int) -> int:
    """Storage grows by a tenth at least, and never shrinks."""
    now: int = db.allocated_storage
    if gibibytes < now:
        raise AWSError(
            "InvalidParameterCombination",
            f"Invalid storage size: the requested {gibibytes} GiB is less than the allocated {now} GiB.",
        )
    return gibibytes if gibibytes == now else max(gibibytes, -(-now * 11 // 10))


def deferred(db: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """Take the changes that wait out of `wanted`, under the names of PendingModifiedValues."""
    later = {}
    for name in [name for name in DEFERRED if name in wanted]:
        current = db.db_instance_identifier if name == "new_db_instance_identifier" else getattr(db, name, None)
        value = wanted.pop(name)
        if value != current:
            later[DEFERRED[name]] = value
    days = wanted.get("backup_retention_period")
    if days is not None and bool(days) != bool(db.backup_retention_period):
        later["BackupRetentionPeriod"] = wanted.pop("backup_retention_period")
    return later


def modify(instance: Instance, due: set[str], password: str | None = None) -> None:
    """Carry out the pending changes in `due`, each kind in the status that AWS shows for it."""
    db = instance.db
    instance.rest(instance.lab.clock.seconds(SHOWN_AFTER))
    with instance.model():
        values = {wire: value for wire, value in db.pending_modified_values.items() if wire in due}
    before = db.status
    if "MasterUserPassword" in values and password:
        reset_credentials(instance, password)
    _change_attributes(instance, values)
    if values.get("BackupRetentionPeriod") == 0:
        _archive(instance)
    if "EngineVersion" in values:
        with instance.status("upgrading", UPGRADE):
            instance.restart()
            _settle(instance, {"EngineVersion": values["EngineVersion"]})
    if "DBInstanceIdentifier" in values:
        with instance.outage("renaming", RENAME):
            _rename(instance, values["DBInstanceIdentifier"])
    if values.get("BackupRetentionPeriod"):
        _settle(instance, {"BackupRetentionPeriod": values["BackupRetentionPeriod"]})
        _archive(instance)
        back_up(instance)
    if "AllocatedStorage" in values:
        with instance.status("storage-optimization", OPTIMIZE_STORAGE):
            pass  # nothing moves here: the disk is this machine's
    instance.settle(before if before == "incompatible-parameters" and not instance.cluster.running else "available")


def _change_attributes(instance: Instance, values: Mapping[str, Any]) -> None:
    own = {"EngineVersion", "DBInstanceIdentifier", "MasterUserPassword", "Port"}
    plain = {wire: value for wire, value in values.items() if wire not in own}
    if plain.get("BackupRetentionPeriod"):
        del plain["BackupRetentionPeriod"]
    if not plain and "Port" not in values:
        return
    with instance.status("modifying", MODIFY):
        _settle(instance, plain)
        if "Port" in values:
            _change_port(instance, values["Port"])
        if WITH_OUTAGE & set(values):
            instance.restart()
            instance.tell("DB_INSTANCE_RESTART")


def _archive(instance: Instance) -> None:
    """Whether the log is archived follows the retention period."""
    instance.configure(instance.applied)
    instance.cluster.reload()


def _change_port(instance: Instance, port: int) -> None:
    with instance.model() as db:
        db.port = port
        db.pending_modified_values.pop("Port", None)
    instance.cluster.stop()
    instance.cluster.port = choose_port(instance.cluster.host, port)


def _settle(instance: Instance, values: Mapping[str, Any]) -> None:
    """The values hold from now on, and are pending no more."""
    with instance.model() as db:
        for wire, value in values.items():
            setattr(db, ATTRIBUTES[wire], value)
            db.pending_modified_values.pop(wire, None)
            instance.tell("DB_INSTANCE_CHANGE", f"Finished applying modification to {wire}: {value}")
        if "MultiAZ" in values:
            db.secondary_availability_zone = other_zone(db) if db.multi_az else None
        if values.get("BackupRetentionPeriod") == 0:
            instance.backups.clear()


def reset_credentials(instance: Instance, password: str) -> None:
    with instance.status("resetting-master-credentials", RESET_CREDENTIALS):
        statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {} VALID UNTIL 'infinity'")
        master = sql.Identifier(instance.db.master_username)
        instance.cluster.query(statement.format(master, sql.Literal(password)))
        with instance.model() as db:
            db._master_user_password = password
            db.pending_modified_values.pop("MasterUserPassword", None)
            instance.tell("DB_INSTANCE_RESET_MASTER_CREDENTIALS")


def _rename(instance: Instance, new: str) -> None:
    """The old endpoint is gone at once, and the new one not there yet."""
    with instance.model() as db:
        backend, old = db.backend, db.db_instance_identifier
        del backend.databases[old]
        db.db_instance_identifier = new.lower()
        backend.databases[new.lower()] = db
        instance.take_endpoint()
        instance.cluster.certify()
        db.pending_modified_values.pop("DBInstanceIdentifier", None)
        instance.tell("DB_INSTANCE_CHANGE", f"Renamed instance from {old} to {new.lower()}")


def in_maintenance_window(db: Any, now: datetime.datetime | None = None) -> bool:
    start, end = (_minute_of_week(moment) for moment in db.preferred_maintenance_window.split("-"))
    moment = now or utc_now()
    minute = moment.weekday() * 24 * 60 + moment.hour * 60 + moment.minute
    return (minute - start) % WEEK_MINUTES < (end - start) % WEEK_MINUTES


def _minute_of_week(moment: str) -> int:
    day, hour, minute = moment.split(":")
    return DAYS.index(day.lower()) * 24 * 60 + int(hour) * 60 + int(minute)


def due_in_window(db: Any) -> set[str]:
    """What waits, if the maintenance window is open now."""
    waiting = set(db.pending_modified_values) & set(ATTRIBUTES)
    return waiting if waiting and in_maintenance_window(db) else set()
