"""What an export writes into its bucket: a table's rows as Parquet, and the two kinds of files that tell of it."""

import io
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
from moto.s3.models import s3_backends
from psycopg2 import sql

from lab import rds_export_access as access
from lab.lab import ACCOUNT, Lab
from lab.postgres import Cluster
from lab.rds_export_tables import Table

ROWS_PER_FILE = 100_000
GB = 1024**3
TOLD = (
    *("ExportTaskIdentifier", "SourceArn", "ExportOnly", "SnapshotTime", "TaskStartTime", "TaskEndTime", "S3Bucket"),
    *("S3Prefix", "IamRoleArn", "KmsKeyId", "Status", "PercentProgress", "WarningMessage"),
)
# RDS writes these as underscores.
CONVERTED = str.maketrans('\\`" ', "____")


class ExportError(RuntimeError):
    """The export fails; the message is its FailureCause."""


class Destination:
    """The bucket below the export's own prefix, written with the export's role and key."""

    def __init__(self, lab: Lab, asked: dict[str, Any]) -> None:
        self.lab, self.asked = lab, asked
        self.path = "/".join(part for part in (asked["S3Prefix"], asked["ExportTaskIdentifier"]) if part)
        self.written = 0

    def put(self, name: str, content: bytes) -> None:
        key = f"{self.path}/{name}".translate(CONVERTED)
        with self.lab.lock:
            self._require_access(key)
            s3_backends[ACCOUNT][access.PARTITION].put_object(
                self.asked["S3BucketName"], key, content, encryption="aws:kms", kms_key_id=self.asked["KmsKeyId"]
            )
        self.written += len(content)

    def _require_access(self, key: str) -> None:
        name, arn = self.asked["S3BucketName"], self.asked["IamRoleArn"]
        bucket, role = access.find_bucket(name), access.find_role(arn)
        if bucket is None:
            raise ExportError(
                f"The S3 bucket {name} isn't valid. Either it isn't located in the current AWS Region or it doesn't "
                "exist. Review your S3 bucket name and retry the export."
            )
        if role is None or not access.may_be_assumed(role):
            raise ExportError(
                f"The RDS export failed to write the export task's metadata because it can't assume the IAM role {arn}."
            )
        if action := access.missing_action(role, bucket, key):
            raise ExportError(
                f"The IAM role {arn} isn't authorized to call {action} on the S3 bucket {name}. Review your "
                "permissions and retry the export."
            )
        if not access.is_key_usable(self.asked["KmsKeyId"]):
            raise ExportError("KMS key check failed. Check the credentials on your KMS key and try again.")


def write_table(cluster: Cluster, table: Table, destination: Destination) -> Iterator[None]:
    """Write a table, file by file: whoever goes through this can stop between two. An empty part has no file."""
    folder = f"{table.database}/{table.schema}.{table.name}".translate(CONVERTED)
    with closing(psycopg2.connect(cluster.dsn(table.database))) as connection:
        connection.set_session(readonly=True)
        for batch, part in enumerate(table.parts, start=1):
            for number, content in enumerate(_files(connection, table, part)):
                destination.put(f"{folder}/{batch}/part-{number:05}-{uuid.uuid4()}.gz.parquet", content)
                yield
            destination.put(f"{folder}/{batch}/_SUCCESS", b"")


def _files(connection: Any, table: Table, part: str) -> Iterator[bytes]:
    columns = sql.SQL(", ").join(column.expression for column in table.columns)
    schema = pa.schema([(column.name, column.parquet[0]) for column in table.columns])
    with connection.cursor(name="export") as cursor:
        cursor.execute(sql.SQL("SELECT {} FROM ONLY {}").format(columns, sql.SQL(part)))
        while rows := cursor.fetchmany(ROWS_PER_FILE):
            values = zip(*rows, strict=True)
            arrays = [pa.array(map(_plain, each), field.type) for each, field in zip(values, schema, strict=True)]
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, compression="gzip")
            yield sink.getvalue()


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def export_info(answer: dict[str, Any], destination: Destination) -> bytes:
    """What became of the task, in the spelling of RDS's own file."""
    told = {name[0].lower() + name[1:]: answer[name] for name in TOLD if name in answer}
    told |= {"exportedFilesPath": destination.path, "totalExportedDataInGB": destination.written / GB}
    return json.dumps(told, default=_moment).encode()


def tables_info(tables: list[tuple[Table, datetime, datetime, int]]) -> bytes:
    """How each table was exported: when, from when to when, and its size in bytes."""
    told = [
        {
            "tableStatistics": {
                "extractionStartTime": _moment(began),
                "extractionEndTime": _moment(ended),
                "partitioningInfo": {
                    "numberOfPartitions": len(table.parts),
                    "numberOfCompletedPartitions": len(table.parts),
                },
            },
            "schemaMetadata": {"originalTypeMappings": [column.mapping() for column in table.columns]},
            "status": "COMPLETE",
            "sizeGB": size / GB,
            "target": table.target,
        }
        for table, began, ended, size in tables
    ]
    return json.dumps({"perTableStatus": told}).encode()


def warning(tables: list[Table], export_only: list[str]) -> str | None:
    """What was left out, in the form of the task's WarningMessage."""
    skipped = [{"tableName": table.target, "reason": table.skipped} for table in tables if table.skipped]
    absent = [part for part in export_only if not any(table.is_in([part]) for table in tables)]
    missing = [{"objective": part, "reason": "DOES_NOT_EXIST"} for part in absent]
    told = {"skippedTables": skipped, "skippedObjectives": missing, "general": []}
    return json.dumps(told) if skipped or missing else None


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
