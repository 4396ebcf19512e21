"""Automated backups in another Region: real copies of an instance's base backups and log, minutes behind them."""

import copy
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.kms.models import kms_backends
from moto.rds.models import rds_backends
from moto.rds.responses import RDSResponse
from moto.rds.utils import split_arn

from lab import base_backup
from lab.base_backup import SEGMENT
from lab.extend import AWSError, operation
from lab.lab import ACCOUNT, Lab
from lab.postgres_binaries import give_away
from lab.rds_archiving import SHIP, SHORTEST_SECONDS
from lab.rds_automated_backups import described
from lab.rds_backups import AutomatedBackups, first_segment
from lab.rds_export_access import is_key_usable
from lab.rds_instances import Instance
from lab.rds_requests import refuse

TRANSFER = 120  # between the Regions, in AWS seconds
DEFAULT_DAYS = 7
DAYS = range(1, 36)
REPLICABLE = ("available", "backing-up", "storage-optimization")
Find = Callable[[Any], Instance]


class ReplicatedBackups(AutomatedBackups):
    """They lie in the Region of `backend`, with a key and a retention period of their own, and outlive their source."""

    def __init__(self, source: AutomatedBackups, backend: Any, root: Path, asked: dict[str, Any]) -> None:
        self.source, self.asked = source, asked
        super().__init__(self._facts(), root, backend)
        self.over = threading.Event()
        source.replicas.append(self)

    @property
    def status(self) -> str:
        return "retained" if self.retained else "replicating" if self.window else "pending"

    @property
    def snapshots(self) -> dict[str, Any]:
        """The automated snapshots are the source's, and stay in its Region."""
        return {}

    @property
    def key(self) -> str | None:
        key: str | None = self.asked["KmsKeyId"]
        return key

    def require_readable(self) -> None:
        if self.key:
            _require_key(self.backend, self.key)

    def retain(self) -> None:
        """The replication is over. What has arrived stays as long as it was asked for."""
        self.retained = True
        self.over.set()

    def resume(self, asked: dict[str, Any]) -> None:
        """Go on where it was stopped, if the source still has all of the log since then."""
        if not self.source.bases or self.latest is None or self.source.bases[0].moment > self.latest:
            self.clear()
        self.asked, self.db = asked, self._facts()
        self.retained, self.next_shipping, self.over = False, 0.0, threading.Event()

    def _facts(self) -> Any:
        """moto's DBInstance as it is now, but for what is the replica's own."""
        db, key = copy.copy(self.source.db), self.asked["KmsKeyId"]
        db.backup_retention_period, db.tags = self.asked["BackupRetentionPeriod"], self.asked["Tags"]
        db.storage_encrypted, db.kms_key_id = bool(key), key
        return db

    def follow(self, lab: Lab) -> None:
        """Copy what the source has more, and tell of it when it has arrived."""
        with lab.lock:
            self.db = self._facts()
            latest, bases, log = self.source.latest, self._missing(), self.source.archive
            for each in (*bases, log):
                each.hold()
        try:
            copied = [self._copied(each) for each in bases]
            if every := [*self.bases, *copied]:
                _copy_log(log.folder, self.archive.folder, first_segment(every[0]))
        finally:
            for each in (*bases, log):
                each.let_go()
        if self.over.wait(lab.clock.seconds(TRANSFER)):
            return
        with lab.lock:
            if not self.retained:
                self.bases += copied
                self.latest = latest or self.latest  # the source may keep no backups any more

    def _missing(self) -> list[base_backup.BaseBackup]:
        """The newest at first, and then each that is made."""
        if not self.bases:
            return self.source.bases[-1:]
        return [base for base in self.source.bases if base.moment > self.bases[-1].moment]

    def _copied(self, base: base_backup.BaseBackup) -> base_backup.BaseBackup:
        folder = self.folder / base.folder.name
        shutil.rmtree(folder, ignore_errors=True)  # of a copy that was broken off
        copied = base_backup.copy(base, folder)
        give_away(folder)
        return copied


def install(lab: Lab, find: Find, replicas: list[ReplicatedBackups]) -> None:
    @operation(RDSResponse, "StartDBInstanceAutomatedBackupsReplication")
    def start_db_instance_automated_backups_replication(self: Any) -> dict[str, Any]:
        source = find(_require_instance(self))
        asked = _require_startable(self, source)
        same = [one for one in replicas if one.source is source.backups and one.backend is self.backend]
        if not same:
            root = lab.folder("rds-replicas") / uuid.uuid4().hex
            same = [ReplicatedBackups(source.backups, self.backend, root, asked)]
            replicas.extend(same)
        elif not same[0].retained:
            refuse("InvalidDBInstanceState", f"{_named(source.db)} is already replicating to the current region.")
        elif same[0].key != asked["KmsKeyId"]:
            refuse(
                "InvalidDBInstanceAutomatedBackupState",
                f"{same[0].arn} is retained and encrypted with another key, {same[0].key}. Delete it, or use that key.",
            )
        else:
            same[0].resume(asked)
        return {"DBInstanceAutomatedBackup": described(same[0])}

    @operation(RDSResponse, "StopDBInstanceAutomatedBackupsReplication")
    def stop_db_instance_automated_backups_replication(self: Any) -> dict[str, Any]:
        source = find(_require_instance(self))
        for replica in replicas:
            if replica.source is source.backups and replica.backend is self.backend and not replica.retained:
                answer = described(replica)
                replica.retain()
                return {"DBInstanceAutomatedBackup": answer}
        raise AWSError("InvalidDBInstanceState", f"{_named(source.db)} is not replicating to the current region.")


def copy_when_due(lab: Lab, replica: ReplicatedBackups) -> None:
    """Called by the control loop. RDS stops by itself when the source or the key is gone."""
    if replica.retained or replica.shipping:
        return
    source = replica.source
    if source.retained or source.ended or (replica.key and not is_key_usable(replica.key, replica.backend.region_name)):
        replica.retain()
    elif time.monotonic() >= replica.next_shipping:
        replica.shipping = True
        lab.work(_follow_in_turn, lab, replica)


def _follow_in_turn(lab: Lab, replica: ReplicatedBackups) -> None:
    try:
        replica.follow(lab)
    finally:
        with lab.lock:
            replica.shipping = False
            replica.next_shipping = time.monotonic() + max(lab.clock.seconds(SHIP), SHORTEST_SECONDS)


def _copy_log(source: Path, target: Path, first: str) -> None:
    """Every closed segment from `first` on, and what tells of timelines."""
    target.mkdir(parents=True, exist_ok=True)
    for each in source.iterdir():
        is_older = SEGMENT.match(each.name) and each.name[:24] < first
        if each.suffix == ".tmp" or is_older or (target / each.name).exists():
            continue
        shutil.copyfile(each, target / f"{each.name}.tmp")
        (target / f"{each.name}.tmp").rename(target / each.name)
    give_away(target)


def _require_instance(self: Any) -> Any:
    """moto's DBInstance of SourceDBInstanceArn, which is in another Region."""
    arn = self._get_param("SourceDBInstanceArn") or ""
    if arn.count(":") != 6 or split_arn(arn)[2] != "db":
        refuse("InvalidParameterValue", f"The parameter SourceDBInstanceArn is not a valid DB instance ARN: {arn}")
    region, account, _, name = split_arn(arn)
    if region == self.backend.region_name:
        refuse(
            "InvalidParameterValue",
            f"The source DB instance is in the current region {region}: backups are replicated to another one.",
        )
    databases = rds_backends[ACCOUNT][region].databases if region in rds_backends[ACCOUNT] else {}
    if account != ACCOUNT or name not in databases:
        refuse("DBInstanceNotFound", f"DBInstance {name} not found.")
    return databases[name]


def _require_startable(self: Any, source: Instance) -> dict[str, Any]:
    days = self._get_int_param("BackupRetentionPeriod", DEFAULT_DAYS)
    key = self._get_param("KmsKeyId")
    if days not in DAYS:
        refuse("InvalidParameterValue", f"Invalid backup retention period: {days}. Must be between 1 and {DAYS[-1]}.")
    if not source.db.backup_retention_period:
        refuse("InvalidDBInstanceState", f"Automated backups are not enabled for {_named(source.db)}.")
    if source.db.status not in REPLICABLE:
        refuse("InvalidDBInstanceState", f"{_named(source.db)} is {source.db.status}, and has to be available.")
    if key or source.db.storage_encrypted:
        key = _require_key(self.backend, key)
    return {"BackupRetentionPeriod": days, "KmsKeyId": key, "Tags": list(self.params.get("Tags") or [])}


def _require_key(backend: Any, key: str | None) -> str:
    """The ARN of a key that can be used in this Region."""
    if key is None or not is_key_usable(key, backend.region_name):
        refuse(
            "KMSKeyNotAccessibleFault",
            f"The target KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it.",
        )
    arn: str = kms_backends[ACCOUNT][backend.region_name].describe_key(key).arn
    return arn


def _named(db: Any) -> str:
    return f"DB instance {db.db_instance_identifier}"
