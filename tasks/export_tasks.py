"""Amazon RDS: exports of a snapshot to S3 as Parquet.

An export is no residue: it stays until the bucket's lifecycle expires the prefix it was written below.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tasks import aws, change_lock
from tasks.environment import Environment
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient
    from types_boto3_rds.type_defs import (
        DBSnapshotTypeDef,
        ExportTaskResponseTypeDef,
        ExportTaskTypeDef,
        StartExportTaskMessageTypeDef,
    )

# Terraform has a lifecycle rule for each of these; a test compares the two.
KeptDays = Literal[7, 30, 90, 365]
LONGEST_SECONDS = 12 * 3600.0  # RDS restores the whole snapshot before it reads the first row
REFUSALS = (
    "ExportTaskLimitReachedFault",
    "IamRoleMissingPermissions",
    "IamRoleNotFound",
    "InvalidExportOnly",
    "InvalidExportSourceState",
    "InvalidS3BucketFault",
    "KMSKeyNotAccessibleFault",
)


@dataclass(frozen=True)
class Source:
    """The snapshot that is exported."""

    id: str
    arn: str

    def __str__(self) -> str:
        return f"RDS snapshot {self.id}"


@dataclass(frozen=True)
class Export:
    id: str
    source_arn: str
    status: str
    percent: int
    bucket: str
    prefix: str
    tables: tuple[str, ...]
    failure: str
    warning: str

    @property
    def path(self) -> str:
        return f"{self.prefix}/{self.id}/".lstrip("/")

    def __str__(self) -> str:
        return f"export {self.id} {self.status} {self.percent} %"


def name_export() -> str:
    """The same run, the same export: RDS takes each name once."""
    return f"export-{change_lock.run_id()}"


@probe
def describe_source(db_identifier: str, snapshot: str | None, export_name: str) -> Source:
    """The snapshot that this run exports already, else the one that is asked for, else the newest available one.

    Raises:
        PreconditionFailed: there is no such snapshot of this database.
    """
    if begun := _find(export_name):
        return Source(begun.source_arn.split(":", 6)[6], begun.source_arn)
    pages = _rds().get_paginator("describe_db_snapshots").paginate(DBInstanceIdentifier=db_identifier)
    found = [one for page in pages for one in page["DBSnapshots"] if one["Status"] == "available"]
    wanted = [one for one in found if snapshot in (None, one["DBSnapshotIdentifier"])]
    if not wanted:
        raise PreconditionFailed(
            f"RDS instance {db_identifier} has no available snapshot {snapshot or 'at all'}, expected one to export."
            f" It has: {', '.join(one['DBSnapshotIdentifier'] for one in found) or 'none'}"
        )
    newest = max(wanted, key=_age)
    return Source(newest["DBSnapshotIdentifier"], newest["DBSnapshotArn"])


@action
def start_export_task(
    environment: Environment, source: Source, name: str, tables: tuple[str, ...], kept_days: int
) -> Export:
    """Begin to export; the export that a killed run began under the same name is attached to.

    Args:
        tables: database[.schema[.table]]; none means all.
        kept_days: After how many days the bucket's lifecycle expires it.

    Raises:
        PreconditionFailed: RDS refuses, or the name is another export's. Nothing was exported.
    """
    wish: StartExportTaskMessageTypeDef = {
        "ExportTaskIdentifier": name,
        "SourceArn": source.arn,
        "S3BucketName": environment.backup_bucket,
        "S3Prefix": f"exports/{kept_days}-days",
        "IamRoleArn": environment.export_role_arn,
        "KmsKeyId": environment.export_kms_key_arn,
    }
    if tables:
        wish["ExportOnly"] = tables
    found = _find(name) or _start(source, wish)
    seen = (found.source_arn, found.prefix, sorted(found.tables))
    expected = (source.arn, f"exports/{kept_days}-days", sorted(tables))
    if seen != expected:
        raise PreconditionFailed(
            f"{found} is of {seen}, expected {expected} (snapshot, prefix, tables). Nothing was exported: start a new"
            " run for another export"
        )
    return found


@probe
def wait_until_exported(export: Export) -> Export:
    """
    Raises:
        VerificationFailed: it failed, with RDS's cause, or was cancelled.
        WaitTimedOut: it is still running.
    """

    def is_complete(seen: Export) -> bool:
        if seen.status in ("FAILED", "CANCELED"):
            raise VerificationFailed(
                f"{export.id} of {export.source_arn} is {seen.status}, expected COMPLETE:"
                f" {seen.failure or 'somebody cancelled it'} What it wrote to s3://{seen.bucket}/{seen.path} is of no"
                " use and expires by itself. Mend the cause, then start a new run"
            )
        return seen.status == "COMPLETE"

    return wait_until(
        f"export {export.id}",
        lambda: _describe(export.id),
        is_complete,
        timeout_seconds=LONGEST_SECONDS,
        expected="COMPLETE",
    )


@action
def cancel_export_task(export_id: str) -> None:
    """End an export that nobody waits for any longer: an account has room for five at a time."""
    rds = _rds()
    try:
        rds.cancel_export_task(ExportTaskIdentifier=export_id)
    except rds.exceptions.InvalidExportTaskStateFault:
        pass  # it has ended meanwhile


def _rds() -> "RDSClient":
    client: RDSClient = aws.client("rds")
    return client


def _start(source: Source, wish: "StartExportTaskMessageTypeDef") -> Export:
    rds = _rds()
    try:
        return _read(rds.start_export_task(**wish))
    except rds.exceptions.ExportTaskAlreadyExistsFault as error:
        if begun := _find(wish["ExportTaskIdentifier"]):
            return begun  # ours: the answer was lost
        raise PreconditionFailed(
            f"{source} is being exported by somebody else, expected nobody ({error}). Wait for that export or cancel"
            f" it: aws rds describe-export-tasks --source-arn {source.arn}"
        ) from error
    except rds.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in REFUSALS:
            raise
        raise PreconditionFailed(
            f"RDS does not export {source} to s3://{wish['S3BucketName']}: {error}. Nothing was"
            " exported. Bucket, role and key are Terraform's: python -m flows.deploy_infrastructure"
        ) from error


def _find(name: str) -> Export | None:
    rds = _rds()
    try:
        (found,) = rds.describe_export_tasks(ExportTaskIdentifier=name)["ExportTasks"]
    except rds.exceptions.ExportTaskNotFoundFault:
        return None
    return _read(found)


def _describe(name: str) -> Export:
    found = _find(name)
    if found is None:
        raise VerificationFailed(f"RDS no longer knows export {name}, expected it to be running or COMPLETE")
    return found


def _read(found: "ExportTaskTypeDef | ExportTaskResponseTypeDef") -> Export:
    return Export(
        found["ExportTaskIdentifier"],
        found["SourceArn"],
        found["Status"],
        found.get("PercentProgress", 0),
        found["S3Bucket"],
        found.get("S3Prefix", ""),
        tuple(found.get("ExportOnly", [])),
        found.get("FailureCause", ""),
        found.get("WarningMessage", ""),
    )


def _age(snapshot: "DBSnapshotTypeDef") -> Any:
    return snapshot["SnapshotCreateTime"]
