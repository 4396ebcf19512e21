"""What RDS refuses before it exports: the checks of StartExportTask, and how an export task is described."""

import re
from collections.abc import Mapping
from typing import Any

from moto.rds.utils import split_arn

from lab import rds_export_access as access
from lab.extend import AWSError
from lab.rds_requests import refuse

ENDED = frozenset({"CANCELED", "COMPLETE", "FAILED"})
MOST_AT_ONCE = 5
IDENTIFIER = re.compile(r"[A-Za-z](?!.*--)[A-Za-z0-9-]{0,59}(?<!-)")
# database, database.schema or database.schema.table, of the letters with which RDS exports a part of a snapshot.
PART = re.compile(r"[A-Za-z0-9$_]+(\.[A-Za-z0-9$_]+){0,2}")


def require_startable(backend: Any, asked: Mapping[str, Any]) -> Any:
    """The snapshot that is to be exported; raises what AWS answers to a StartExportTask that it won't carry out."""
    identifier = asked["ExportTaskIdentifier"]
    if not IDENTIFIER.fullmatch(identifier):
        refuse("InvalidParameterValue", f"The parameter ExportTaskIdentifier is not a valid identifier: {identifier}")
    if identifier in backend.export_tasks:
        refuse("ExportTaskAlreadyExists", f"An export task with the id {identifier} already exists.")
    snapshot = _require_snapshot(backend, asked["SourceArn"])
    _require_room(backend, asked["SourceArn"])
    for part in asked["ExportOnly"]:
        if not PART.fullmatch(part):
            refuse("InvalidExportOnly", f"The ExportOnly value {part} isn't database[.schema][.table].")
    _require_bucket(asked)
    if not access.is_key_usable(asked["KmsKeyId"]):
        refuse(
            "KMSKeyNotAccessibleFault",
            f"The specified KMS key [{asked['KmsKeyId']}] does not exist, is not enabled or you do not have "
            "permissions to access it.",
        )
    return snapshot


def _require_snapshot(backend: Any, arn: str) -> Any:
    kind, name = split_arn(arn)[2:] if arn.count(":") >= 6 else ("", arn)
    if kind != "snapshot" or name not in backend.database_snapshots:
        raise AWSError("DBSnapshotNotFound", f"DBSnapshot {name} not found.")
    snapshot = backend.database_snapshots[name]
    if snapshot.status != "available":
        raise AWSError("InvalidExportSourceState", f"The DB snapshot {name} isn't in the available state.")
    return snapshot


def _require_room(backend: Any, source_arn: str) -> None:
    running = [task for task in backend.export_tasks.values() if task.status not in ENDED]
    if any(task.asked["SourceArn"] == source_arn for task in running):
        refuse("ExportTaskAlreadyExists", f"An export task of {source_arn} is already running.")
    if len(running) >= MOST_AT_ONCE:
        refuse("ExportTaskLimitReachedFault", f"You have reached the limit of {MOST_AT_ONCE} concurrent export tasks")


def _require_bucket(asked: Mapping[str, Any]) -> None:
    bucket, role = access.find_bucket(asked["S3BucketName"]), access.find_role(asked["IamRoleArn"])
    if bucket is None or ":" in asked["S3Prefix"]:
        refuse("InvalidS3BucketFault", f"The S3 bucket {asked['S3BucketName']} or its prefix isn't valid.")
    if role is None:
        refuse("IamRoleNotFound", f"The IAM role {asked['IamRoleArn']} can't be found.")
    if not access.may_be_assumed(role):
        refuse(
            "IamRoleMissingPermissions",
            f"The principal {access.PRINCIPAL} isn't allowed to assume the IAM role {role.arn}.",
        )
    where = "/".join(part for part in (asked["S3Prefix"], asked["ExportTaskIdentifier"], "_SUCCESS") if part)
    if action := access.missing_action(role, bucket, where):
        refuse(
            "IamRoleMissingPermissions",
            f"The IAM role {role.arn} isn't authorized to call {action} on the S3 bucket {bucket.name}.",
        )


def describe(task: Any) -> dict[str, Any]:
    """A task as StartExportTask, DescribeExportTasks and CancelExportTask tell it."""
    told = {
        "ExportTaskIdentifier": task.asked["ExportTaskIdentifier"],
        "SourceArn": task.asked["SourceArn"],
        "SourceType": "SNAPSHOT",
        "SnapshotTime": task.snapshot.snapshot_create_time,
        "ExportOnly": task.asked["ExportOnly"],
        "S3Bucket": task.asked["S3BucketName"],
        "S3Prefix": task.asked["S3Prefix"],
        "IamRoleArn": task.asked["IamRoleArn"],
        "KmsKeyId": task.asked["KmsKeyId"],
        "Status": task.status,
        "PercentProgress": task.percent,
        "TotalExtractedDataInGB": int(task.extracted_gb),
        "TaskStartTime": task.started,
        "TaskEndTime": task.ended,
        "FailureCause": task.failure,
        "WarningMessage": task.warning,
    }
    return {name: value for name, value in told.items() if value is not None and value != []}


def fits(task: Any, wanted: Mapping[str, list[str]]) -> bool:
    """Whether a task is asked for by DescribeExportTasks' filters, by their names."""
    facts = {
        "export-task-identifier": task.asked["ExportTaskIdentifier"],
        "s3-bucket": task.asked["S3BucketName"],
        "source-arn": task.asked["SourceArn"],
        "status": task.status.lower(),
    }
    if unknown := sorted(set(wanted) - set(facts)):
        refuse("InvalidParameterValue", f"Unrecognized filter name: {unknown[0]}")
    return all(facts[name] in values for name, values in wanted.items())
