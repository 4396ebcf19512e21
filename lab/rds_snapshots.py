"""DB snapshots: taken from a running instance, copied and deleted for real."""

import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.rds.exceptions import DBSnapshotNotFoundFault
from moto.rds.models import DBSnapshot, rds_backends
from moto.rds.responses import RDSResponse

from lab import base_backup
from lab.base_backup import BaseBackup
from lab.extend import AWSError, operation
from lab.lab import ACCOUNT, Lab
from lab.postgres import ClusterFailedError
from lab.rds_instances import GoneError, Instance
from lab.rds_pages import page

# Typical times of AWS, in AWS seconds; the instance is backing up for the first part of a snapshot only.
BACK_UP, SNAPSHOT = 60, 180
Find = Callable[[Any], Instance]


def install(lab: Lab, find: Find) -> None:
    DBSnapshot.snapshot_create_time = property(lambda snapshot: snapshot.taken_at)
    DBSnapshot.percent_progress = property(_percent)
    operation(RDSResponse, "DescribeDBSnapshots")(describe_db_snapshots)

    @operation(RDSResponse, "CreateDBSnapshot")
    def create_db_snapshot(self: Any) -> dict[str, Any]:
        db = self.backend.describe_db_instances(self._get_param("DBInstanceIdentifier"))[0]
        instance, name = find(db), self._get_param("DBSnapshotIdentifier")
        self.backend.validate_db_snapshot_identifier(name, parameter_name="DBSnapshotIdentifier")
        require_new(lab, self.backend, name)
        _require_to_be_available(instance)
        snapshot = record(lab, db, name, tags=self.params.get("Tags"))
        if fault := lab.faults.take("rds:CreateDBSnapshot", lambda one: one.kind == "outcome"):
            snapshot.planned = fault.code
        if db.status == "available":
            instance.begin(take, snapshot)
        else:
            lab.work(fill, instance, snapshot)
        return {"DBSnapshot": snapshot}

    @operation(RDSResponse, "CopyDBSnapshot")
    def copy_db_snapshot(self: Any) -> dict[str, Any]:
        name = self._get_param("TargetDBSnapshotIdentifier")
        self.backend.validate_db_snapshot_identifier(name, parameter_name="TargetDBSnapshotIdentifier")
        source = require_available(self.backend, self._get_param("SourceDBSnapshotIdentifier"))
        require_new(lab, self.backend, name)
        tags = self.params.get("Tags") or (source.tags if self._get_bool_param("CopyTags", False) else [])
        return {"DBSnapshot": _copy(lab, self.backend, source, name, tags, self._get_param("KmsKeyId"))}

    @operation(RDSResponse, "DeleteDBSnapshot")
    def delete_db_snapshot(self: Any) -> dict[str, Any]:
        name = self._get_param("DBSnapshotIdentifier")
        self.backend.validate_db_snapshot_identifier(name, parameter_name="DBSnapshotIdentifier")
        snapshot = self.backend.get_db_snapshot(name)
        if snapshot.status not in ("available", "failed"):
            raise AWSError(
                "InvalidDBSnapshotState", f"Cannot delete the snapshot because it is currently {snapshot.status}."
            )
        del self.backend.database_snapshots[name]
        snapshot.status = "deleted"
        snapshot.add_event("DB_SNAPSHOT_DELETED")
        if snapshot.base_backup:
            lab.work(snapshot.base_backup.let_go)
        return {"DBSnapshot": snapshot}


def describe_db_snapshots(self: Any) -> dict[str, Any]:
    filters = {each["Name"]: each["Values"] for each in self.params.get("Filters", [])}
    if resource := self._get_param("DbiResourceId"):
        filters["dbi-resource-id"] = [resource]
    instance, name = self._get_param("DBInstanceIdentifier"), self._get_param("DBSnapshotIdentifier")
    found = self.backend.describe_db_snapshots(instance, name, self._get_param("SnapshotType"), filters)
    if name and not found:
        raise DBSnapshotNotFoundFault(name)
    return page(self, "DBSnapshots", found)


def require_new(lab: Lab, backend: Any, name: str) -> None:
    """Raise what AWS answers when there can't be one more manual snapshot of this name."""
    if name in backend.database_snapshots:
        raise AWSError(
            "DBSnapshotAlreadyExists",
            f"Cannot create the snapshot because a snapshot with the identifier {name} already exists.",
        )
    most = lab.quotas.most["ManualSnapshots"]
    if sum(each.snapshot_type == "manual" for each in backend.database_snapshots.values()) >= most:
        raise AWSError("SnapshotQuotaExceeded", f"Cannot create more than {most} manual snapshots")


def require_available(backend: Any, name: str) -> Any:
    """The snapshot of this name or ARN, if it holds data."""
    snapshot = backend.get_db_snapshot(name)
    if snapshot.status != "available":
        raise AWSError(
            "InvalidDBSnapshotState",
            f"The DB snapshot {snapshot.db_snapshot_identifier} is {snapshot.status}, and has to be available.",
        )
    return snapshot


def _require_to_be_available(instance: Instance) -> None:
    optimizing = instance.db.status == "storage-optimization"
    if not optimizing and (instance.changing or instance.db.status != "available"):
        raise AWSError(
            "InvalidDBInstanceState",
            f"Cannot create a snapshot because the database instance {instance.db.db_instance_identifier} is not "
            "currently in the available state.",
        )


def record(lab: Lab, db: Any, name: str, kind: str = "manual", tags: Any = None, seconds: float = SNAPSHOT) -> Any:
    """moto's record of a snapshot that is still to be taken."""
    snapshot = DBSnapshot(db.backend, db, name, kind, tags)
    for fact in ("availability_zone", "license_model", "iops", "storage_type", "storage_throughput"):
        setattr(snapshot, fact, getattr(db, fact, None))
    snapshot.option_group_name = db.option_group_name
    group = getattr(db, "db_subnet_group", None)
    snapshot.vpc_id = group.vpc_id if group else None
    snapshot.instance_create_time = db.instance_create_time
    _begin(lab, snapshot, seconds)
    return snapshot


def _begin(lab: Lab, snapshot: Any, seconds: float) -> None:
    snapshot.status = "creating"
    snapshot.taken_at = snapshot.original_snapshot_create_time = snapshot.snapshot_database_time = None
    snapshot.base_backup = None
    snapshot.planned = "available"
    snapshot.began, snapshot.ready_at = time.monotonic(), lab.clock.deadline(seconds)
    snapshot.backend.database_snapshots[snapshot.db_snapshot_identifier] = snapshot
    _tell(snapshot, "START")


def take(instance: Instance, snapshot: Any) -> None:
    try:
        with instance.status("backing-up", BACK_UP):
            fill(instance, snapshot)
        instance.settle("available")
    except GoneError:
        with instance.lab.lock:
            _fail(snapshot, "the DB instance was deleted")
        raise


def fill(instance: Instance, snapshot: Any, folder: Path | None = None) -> BaseBackup | None:
    """Take the real backup behind `snapshot`. What fails makes the snapshot fail, and nothing else."""
    how = base_backup.take if instance.cluster.running else base_backup.take_cold
    folder = folder or new_folder(instance.lab)
    try:
        base = how(instance.cluster, folder)
    except (ClusterFailedError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        with instance.lab.lock:
            _fail(snapshot, str(error))
        return None
    with instance.lab.lock:
        _keep(snapshot, base)
        snapshot.original_snapshot_create_time = base.moment
    return base


def new_folder(lab: Lab) -> Path:
    return lab.folder("rds-snapshots") / uuid.uuid4().hex


def _keep(snapshot: Any, base: BaseBackup) -> None:
    snapshot.base_backup = base
    snapshot.taken_at = snapshot.snapshot_database_time = base.moment


def _fail(snapshot: Any, reason: str) -> None:
    if snapshot.status != "creating" or (snapshot.base_backup and snapshot.planned == "available"):
        return
    snapshot.status = "failed"
    snapshot.add_event("DB_SNAPSHOT_FAILED")
    snapshot.backend.events[-1].message += f": {reason}"


def _copy(lab: Lab, backend: Any, source: Any, name: str, tags: Any, key: str | None) -> Any:
    key = backend._validate_kms_key(key) if key else source.kms_key_id
    snapshot = record(lab, source.database, name, tags=tags)
    snapshot.tags = tags  # never those of the instance
    snapshot.kms_key_id, snapshot.encrypted = key, key is not None
    snapshot.source_db_snapshot_identifier = source.db_snapshot_arn
    base = source.base_backup
    base.hold()
    lab.work(_fill_copy, lab, snapshot, source.original_snapshot_create_time, base)
    return snapshot


def _fill_copy(lab: Lab, snapshot: Any, original: Any, base: BaseBackup) -> None:
    try:
        copied = base_backup.copy(base, new_folder(lab))
    except OSError as error:
        with lab.lock:
            _fail(snapshot, str(error))
    else:
        with lab.lock:
            _keep(snapshot, copied)
            snapshot.original_snapshot_create_time = original
    finally:
        base.let_go()


def tick() -> None:
    """Snapshots become available when they hold their data and AWS's time for it has passed."""
    for backend in rds_backends[ACCOUNT].values():
        for snapshot in list(backend.database_snapshots.values()):
            finish_when_ready(snapshot)


def finish_when_ready(snapshot: Any) -> None:
    if snapshot.status != "creating" or not snapshot.base_backup or time.monotonic() < snapshot.ready_at:
        return
    if snapshot.planned == "available":
        snapshot.status = "available"
        _tell(snapshot, "FINISH")
    elif snapshot.planned != "never":
        _fail(snapshot, "a planned fault")


def _tell(snapshot: Any, what: str) -> None:
    snapshot.add_event(f"DB_SNAPSHOT_CREATE_{snapshot.snapshot_type.upper()}_{what}")


def _percent(snapshot: Any) -> int:
    if snapshot.status == "available":
        return 100
    passed = (time.monotonic() - snapshot.began) / (snapshot.ready_at - snapshot.began)
    return min(99, int(100 * passed)) if snapshot.base_backup else 0
