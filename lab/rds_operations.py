"""The operations that begin, interrupt and end a DB instance: what RDS answers at once."""

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.rds.models import RDSBackend
from moto.rds.responses import RDSResponse

from lab import rds_lifecycle
from lab.extend import AWSError, Method, around, operation
from lab.lab import Lab
from lab.postgres_binaries import PostgresNotFoundError, find_binaries
from lab.rds_catalog import require_version
from lab.rds_instances import Instance
from lab.rds_requests import require_creatable, require_deletable, require_family
from lab.rds_snapshots import record, require_new

REBOOTABLE = ("available", "storage-optimization", "incompatible-parameters", "incompatible-credentials")
# Without data behind them these would only pretend.
NOT_YET = ("CreateDBInstanceReadReplica", "CreateBlueGreenDeployment")
PENDING_PASSWORD = {"MasterUserPassword": "****"}
Find = Callable[[Any], Instance]


def install(lab: Lab, find: Find, add: Find) -> None:
    """`find` gives the real side of a DBInstance, `add` makes the one of a new DBInstance."""
    for name in NOT_YET:
        operation(RDSResponse, name)(_refuse_unreal)

    @operation(RDSResponse, "CreateDBInstance")
    def create_db_instance(self: Any) -> dict[str, Any]:
        db = new_record(lab, self.backend, self.params)
        add(db).begin(rds_lifecycle.create)
        return {"DBInstance": db}

    @operation(RDSResponse, "DescribeAccountAttributes")
    def describe_account_attributes(self: Any) -> dict[str, Any]:
        manual = [each for each in self.backend.database_snapshots.values() if each.snapshot_type == "manual"]
        used = {"DBInstances": len(self.backend.databases), "ManualSnapshots": len(manual)}
        quotas = [{"AccountQuotaName": name, "Used": used[name], "Max": most} for name, most in lab.quotas.most.items()]
        return {"AccountQuotas": quotas}

    @operation(RDSResponse, "RebootDBInstance")
    def reboot_db_instance(self: Any) -> dict[str, Any]:
        db = self.backend.describe_db_instances(self._get_param("DBInstanceIdentifier"))[0]
        failover = self._get_bool_param("ForceFailover", False)
        _require_rebootable(find(db), failover)
        find(db).begin(rds_lifecycle.fail_over if failover else rds_lifecycle.reboot)
        db.status = "rebooting"
        return {"DBInstance": db}

    @around(RDSBackend, "stop_db_instance")
    def stop_db_instance(original: Method, self: Any, identifier: str, snapshot: str | None = None) -> Any:
        instance = find(self.describe_db_instances(identifier)[0])
        if instance.changing:
            raise AWSError("InvalidDBInstanceState", f"Instance {identifier} is not in available state.")
        if snapshot:
            self.validate_db_snapshot_identifier(snapshot, parameter_name="DBSnapshotIdentifier")
            require_new(lab, self, snapshot)
        db = original(self, identifier)
        instance.begin(rds_lifecycle.stop, record(lab, db, snapshot) if snapshot else None)
        db.status = "stopping"
        return db

    @around(RDSBackend, "start_db_instance")
    def start_db_instance(original: Method, self: Any, identifier: str) -> Any:
        instance = find(self.describe_db_instances(identifier)[0])
        db = original(self, identifier)
        instance.begin(rds_lifecycle.start)
        db.status = "starting"
        return db

    @operation(RDSResponse, "DeleteDBInstance")
    def delete_db_instance(self: Any) -> dict[str, Any]:
        db = self.backend.describe_db_instances(self._get_param("DBInstanceIdentifier"))[0]
        _delete(self.backend, db, find(db), dict(self.params))
        return {"DBInstance": db}


def _delete(backend: Any, db: Any, instance: Instance, asked: dict[str, Any]) -> None:
    require_deletable(db, asked)
    if final := asked.get("final_db_snapshot_identifier"):
        backend.validate_db_snapshot_identifier(final, parameter_name="FinalDBSnapshotIdentifier")
        require_new(instance.lab, backend, final)
    snapshot = record(instance.lab, db, final) if final else None
    db.status = "deleting"
    instance.lab.work(rds_lifecycle.delete, instance, not asked.get("delete_automated_backups", True), snapshot)


def new_record(lab: Lab, backend: Any, asked: Any) -> Any:
    """moto's record of the new instance, put back to where its life begins."""
    require_creatable(asked)
    if len(backend.databases) >= lab.quotas.most["DBInstances"]:
        raise AWSError(
            "InstanceQuotaExceeded", "The request would result in exceeding the allowed number of DB instances."
        )
    try:
        find_binaries()
    except PostgresNotFoundError as error:
        raise AWSError("InsufficientDBInstanceCapacity", str(error)) from error
    asked["engine_version"] = require_version(asked.get("engine_version"))
    asked.setdefault("license_model", "postgresql-license")
    told = len(backend.events)
    db = backend.create_db_instance(asked)
    del backend.events[told:]  # moto tells of a creation and a backup that are still to come
    try:
        require_family(db.db_parameter_groups()[0])
    except AWSError:
        del backend.databases[db.db_instance_identifier]
        raise
    _complete(db, asked)
    return db


def _complete(db: Any, asked: Any) -> None:
    """What moto's DBInstance lacks when it begins to exist."""
    db.status = "creating"
    db.instance_create_time = None
    db.secondary_availability_zone = rds_lifecycle.other_zone(db) if db.multi_az else None
    db.pending_modified_values = dict(PENDING_PASSWORD) if "master_user_password" in asked else {}
    db.performance_insights_enabled = bool(asked.get("enable_performance_insights"))
    db.performance_insights_retention_period = (
        asked.get("performance_insights_retention_period", 7) if db.performance_insights_enabled else None
    )


def _require_rebootable(instance: Instance, failover: bool) -> None:
    if instance.changing or instance.db.status not in REBOOTABLE:
        raise AWSError(
            "InvalidDBInstanceState", "Instance cannot currently reboot due to an in-progress management operation."
        )
    if failover and not instance.db.multi_az:
        raise AWSError(
            "InvalidParameterCombination", "Cannot reboot with failover when the DB instance is not Multi-AZ."
        )


def _refuse_unreal(self: Any) -> ActionResult:
    raise AWSError("InvalidAction", f"This lab has no {self._get_action()} yet: there is no data behind it.")
