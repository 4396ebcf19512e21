"""Amazon RDS: snapshots and automated backups of a database instance."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tasks import aws, change_lock
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.residue import as_list
from tasks.residue_kinds import RUN_ID, tags_of
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

USUAL_SECONDS = 180.0
LONGEST_SECONDS = 4 * 3600.0  # a first snapshot copies everything


@dataclass(frozen=True)
class Snapshot:
    """`earliest` and `latest` bound the moment whose data it holds."""

    id: str
    db_identifier: str
    kind: str
    status: str
    earliest: datetime
    latest: datetime
    engine_version: str
    encrypted: bool
    kms_key: str | None
    storage_gib: int
    arn: str
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.kind} snapshot {self.id} of {self.latest:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class RestoreWindow:
    """The points in time that can be restored, both ends included."""

    earliest: datetime
    latest: datetime

    def __str__(self) -> str:
        return f"{self.earliest:%Y-%m-%d %H:%M:%S} to {self.latest:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class Retained:
    """Automated backups that outlived their instance."""

    resource_id: str
    window: RestoreWindow


@probe
def list_available_snapshots(db_identifier: str) -> tuple[Snapshot, ...]:
    """Automated and manual ones that can be restored, oldest first."""
    pages = _rds().get_paginator("describe_db_snapshots").paginate(DBInstanceIdentifier=db_identifier)
    found = [_read(one) for page in pages for one in page["DBSnapshots"] if one["Status"] == "available"]
    return tuple(sorted(found, key=lambda one: one.latest))


@probe
def describe_restore_window(db_identifier: str) -> RestoreWindow:
    """
    Raises:
        PreconditionFailed: the instance has no automated backups to restore from.
    """
    found = _rds().describe_db_instance_automated_backups(DBInstanceIdentifier=db_identifier)
    for backup in found["DBInstanceAutomatedBackups"]:
        window = backup.get("RestoreWindow", {})
        if backup["Status"] == "active" and "EarliestTime" in window and "LatestTime" in window:
            return RestoreWindow(window["EarliestTime"], window["LatestTime"])
    raise PreconditionFailed(
        f"RDS instance {db_identifier} has no automated backup with a restore window, expected an active one."
        " Look at its BackupRetentionPeriod; the first backup comes minutes after it is raised from 0"
    )


def find_retained(db_identifier: str) -> Retained | None:
    """What the newest deleted instance of this name left to be restored from."""
    asked: Any = [
        {"Name": "status", "Values": ["retained"]},
        {"Name": "db-instance-id", "Values": [db_identifier]},
    ]
    found = [
        Retained(one["DbiResourceId"], RestoreWindow(window["EarliestTime"], window["LatestTime"]))
        for one in _rds().describe_db_instance_automated_backups(Filters=asked)["DBInstanceAutomatedBackups"]
        if "LatestTime" in (window := one.get("RestoreWindow", {}))
    ]
    return max(found, key=lambda one: one.window.latest, default=None)


def name_snapshot(db_identifier: str, reason: str) -> str:
    """As RDS takes names: letters, digits and single hyphens. The same run and reason, the same name."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{db_identifier} {reason}".lower())[:80].strip("-")
    return f"{words}-{change_lock.short_run_id()}"


def require_usable(snapshot: Snapshot, db_identifier: str, *, encrypted: bool) -> None:
    """
    Raises:
        VerificationFailed: it is not a snapshot that could replace the database.
    """
    wanted = ("available", db_identifier, encrypted)
    seen = (snapshot.status, snapshot.db_identifier, snapshot.encrypted)
    if seen != wanted:
        raise VerificationFailed(f"{snapshot} is {seen}, expected {wanted} (status, database, encrypted)")


def find_snapshot(snapshot_id: str) -> Snapshot | None:
    rds = _rds()
    try:
        (found,) = rds.describe_db_snapshots(DBSnapshotIdentifier=snapshot_id)["DBSnapshots"]
    except rds.exceptions.DBSnapshotNotFoundFault:
        return None
    return _read(found)


@action
def create_db_snapshot(db_identifier: str, snapshot_id: str, tags: Mapping[str, str]) -> None:
    """A snapshot of this name and these tags; one that this run has already begun is taken as it is.

    Raises:
        PreconditionFailed: the name is taken by somebody else's, or the account's quota is full. Nothing was changed.
    """
    rds = _rds()
    try:
        rds.create_db_snapshot(DBInstanceIdentifier=db_identifier, DBSnapshotIdentifier=snapshot_id, Tags=as_list(tags))
    except rds.exceptions.DBSnapshotAlreadyExistsFault as error:
        existing = find_snapshot(snapshot_id)
        if existing is None or existing.tags.get(RUN_ID) != tags.get(RUN_ID):
            raise PreconditionFailed(
                f"there is already {existing or snapshot_id} and it is not of this run, expected the name to be free"
            ) from error
    except rds.exceptions.SnapshotQuotaExceededFault as error:
        raise PreconditionFailed(
            f"the account has as many manual snapshots as its quota allows ({error}), expected room for one more."
            " Run sweep_residue, or delete old ones"
        ) from error


@probe
def wait_until_snapshot_available(snapshot_id: str) -> Snapshot:
    """
    Raises:
        VerificationFailed: it failed, or is gone.
        WaitTimedOut: it is still being made.
    """

    def is_available(snapshot: Snapshot | None) -> bool:
        if snapshot is None or snapshot.status not in ("creating", "pending", "available"):
            raise VerificationFailed(
                f"RDS snapshot {snapshot_id} is {snapshot.status if snapshot else 'gone'!r}, expected 'available'."
                " Nothing was saved: look at the instance's events, then take another"
            )
        return snapshot.status == "available"

    found = wait_until(
        f"RDS snapshot {snapshot_id}",
        lambda: find_snapshot(snapshot_id),
        is_available,
        timeout_seconds=LONGEST_SECONDS,
        usual_seconds=USUAL_SECONDS,
        expected="'available'",
    )
    assert found is not None  # noqa: S101 - is_available has said so
    return found


def _read(found: Any) -> Snapshot:
    created = found.get("SnapshotCreateTime") or found["InstanceCreateTime"]
    return Snapshot(
        id=found["DBSnapshotIdentifier"],
        db_identifier=found["DBInstanceIdentifier"],
        kind=found["SnapshotType"],
        status=found["Status"],
        earliest=found.get("SnapshotDatabaseTime", created),
        latest=found.get("OriginalSnapshotCreateTime", created),
        engine_version=found["EngineVersion"],
        encrypted=found.get("Encrypted", False),
        kms_key=found.get("KmsKeyId"),
        storage_gib=found["AllocatedStorage"],
        arn=found["DBSnapshotArn"],
        tags=tags_of(found.get("TagList")),
    )


def _rds() -> "RDSClient":
    client: RDSClient = aws.client("rds")
    return client
