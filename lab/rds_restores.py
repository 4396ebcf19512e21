"""Restores: a new DB instance from a snapshot, or from the automated backups of another as it was at a moment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.rds.responses import RDSResponse

from lab.base_backup import BaseBackup, Kept, recovery_to_backup, recovery_to_moment
from lab.extend import AWSError, operation
from lab.lab import Lab
from lab.postgres import ClusterFailedError
from lab.rds_automated_backups import back_up, require
from lab.rds_backups import AutomatedBackups
from lab.rds_catalog import memory_bytes
from lab.rds_instances import FailedError, Instance, utc_now
from lab.rds_operations import new_record
from lab.rds_restore_requests import require_moment, wanted_instance
from lab.rds_snapshots import require_available

RESTORE = 600  # typical of AWS, in AWS seconds
RECOVERY_SECONDS = 900.0  # of this machine: all the log since the base backup may have to be replayed
Find = Callable[[Any], Instance]
All = Callable[[], list[AutomatedBackups]]


@dataclass(frozen=True)
class Source:
    """The real things that a restore reads. They stay until it has read them."""

    base: BaseBackup
    recovery: dict[str, str]
    needed: tuple[Kept, ...]
    story: tuple[str, str]

    def let_go(self) -> None:
        for each in self.needed:
            each.let_go()


def install(lab: Lab, find: Find, add: Find, every: All) -> None:
    @operation(RDSResponse, "RestoreDBInstanceFromDBSnapshot")
    def restore_db_instance_from_db_snapshot(self: Any) -> dict[str, Any]:
        asked = dict(self.params)
        snapshot = require_available(self.backend, asked.get("db_snapshot_identifier") or "")
        tags = snapshot.database.tags  # of the source at that time, unless the request brings its own
        wanted = wanted_instance(self.backend, snapshot.database, asked, tags)
        wanted |= {"storage_encrypted": snapshot.encrypted, "kms_key_id": snapshot.kms_key_id}
        base = snapshot.base_backup
        story = "DB_INSTANCE_RESTORED_SNAPSHOT", f"Restored from snapshot {snapshot.db_snapshot_identifier}"
        source = Source(base, recovery_to_backup(base), (base,), story)
        return {"DBInstance": _begin(lab, add, new_record(lab, self.backend, wanted), source, self._get_action())}

    @operation(RDSResponse, "RestoreDBInstanceToPointInTime")
    def restore_db_instance_to_point_in_time(self: Any) -> dict[str, Any]:
        asked = dict(self.params)
        backups = _require_backups(self.backend, asked, find, every())
        backups.require_readable()
        moment = require_moment(backups, asked)
        wanted = wanted_instance(self.backend, backups.db, asked, tags=[])
        base, archive = backups.base_for(moment), backups.archive
        name = backups.db.db_instance_identifier
        story = "DB_INSTANCE_RESTORED_TIME", f"Restored from DB instance {name} to {moment.isoformat()}Z"
        source = Source(base, recovery_to_moment(archive.folder, moment), (base, archive), story)
        return {"DBInstance": _begin(lab, add, new_record(lab, self.backend, wanted), source, self._get_action())}


def _require_backups(
    backend: Any, asked: dict[str, Any], find: Find, every: list[AutomatedBackups]
) -> AutomatedBackups:
    name, resource = asked.get("source_db_instance_identifier"), asked.get("source_dbi_resource_id")
    arn = asked.get("source_db_instance_automated_backups_arn")
    if sum(each is not None for each in (name, resource, arn)) != 1:
        raise AWSError(
            "InvalidParameterCombination",
            "Exactly one of SourceDBInstanceIdentifier, SourceDbiResourceId and SourceDBInstanceAutomatedBackupsArn "
            "must be specified.",
        )
    return find(backend.describe_db_instances(name)[0]).backups if name else require(every, backend, resource, arn)


def _begin(lab: Lab, add: Find, db: Any, source: Source, action: str) -> Any:
    for each in source.needed:
        each.hold()
    db.pending_modified_values = {}
    fault = lab.faults.take(f"rds:{action}", lambda one: one.kind == "outcome")
    add(db).begin(restore, source, fault.code if fault else None)
    return db


def restore(instance: Instance, source: Source, planned: str | None) -> None:
    """The real work behind a restore; its states are AWS's."""
    try:
        if planned == "never":
            return
        with instance.status("creating", RESTORE):
            if planned is None:
                _recover(instance, source)
                instance.restart()  # with the parameters of its own group
    finally:
        source.let_go()
    if planned:
        raise FailedError(planned, "a planned fault")
    with instance.model() as db:
        db.instance_create_time = utc_now()
        instance.reachable = True
        instance.tell(*source.story)
    if db.backup_retention_period:
        back_up(instance)
    instance.settle("available")


def _recover(instance: Instance, source: Source) -> None:
    """A cluster of its own from the copied data, on a timeline of its own."""
    cluster = instance.cluster
    instance.take_endpoint()
    try:
        cluster.create(source.base.folder)
        (cluster.data / "recovery.signal").touch()
        instance.configure({}, source.recovery)
        instance.rest(0)  # nothing is started for one that is gone
        cluster.start(memory_bytes(instance.db.db_instance_class), RECOVERY_SECONDS)
    except (ClusterFailedError, OSError) as error:
        raise FailedError("incompatible-restore", str(error)) from error
