"""Amazon S3: what RDS exported a snapshot to, read back to prove that it is whole and can be read."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks import aws
from tasks.errors import VerificationFailed
from tasks.kinds import probe
from tasks.report import say

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

FOOTER_BYTES = 64 * 1024  # of most Parquet files, all that is behind their rows
LENGTH_BYTES = 8  # the footer's own length, and the four letters behind it
PARQUET = b"PAR1"
# RDS writes these characters of a name as underscores.
CONVERTED = re.compile(r'[\\`" ]')


@dataclass(frozen=True)
class ExportedTable:
    """`name` is database.schema.table; an empty table has a marker of success and no object."""

    name: str
    objects: int
    bytes: int
    rows: int
    is_whole: bool


@dataclass(frozen=True)
class Contents:
    """What lies in S3, and what RDS's own list of tables says of each: `COMPLETE`, if all went well."""

    where: str
    tables: tuple[ExportedTable, ...]
    told: Mapping[str, str]


@probe
def read_contents(bucket: str, path: str) -> Contents:
    """List what was written below `path` and read the footer of every Parquet file.

    Raises:
        VerificationFailed: a file is not Parquet.
    """
    found: dict[str, dict[str, int]] = {}
    told: dict[str, str] = {}
    for key, size in _list_objects(bucket, path):
        database, table, *inside = f"{key.removeprefix(path)}/".split("/")
        if database.startswith("export_tables_info_"):
            told |= _read_statuses(bucket, key)
        if any(inside):
            found.setdefault(f"{database}.{table}", {})[key] = size
    tables = tuple(_table(name, bucket, found[name]) for name in sorted(found))
    return Contents(f"s3://{bucket}/{path}", tables, told)


def require_complete(contents: Contents, asked: tuple[str, ...], warning: str) -> None:
    """Every table that was asked for, and every one that RDS lists, is there as a whole; none was left out.

    Args:
        asked: database[.schema[.table]] as the export was asked for; none means all.
        warning: RDS's own, of the export task.

    Raises:
        VerificationFailed: the export is not what it was to be.
    """
    there = {table.name for table in contents.tables if table.is_whole}
    listed = {CONVERTED.sub("_", target): status for target, status in contents.told.items()}
    missing = sorted(name for name in listed if name not in there or listed[name] != "COMPLETE")
    unlisted = sorted(there - set(listed))
    absent = sorted(part for part in asked if not any(is_asked_for(name, (part,)) for name in there))
    left_out = sorted(_left_out(warning))
    if missing or unlisted or absent or left_out or not there:
        raise VerificationFailed(
            f"{contents.where} has {len(there)} whole tables, expected every table of the snapshot:"
            f" incomplete {missing or 'none'}, not in RDS's list {unlisted or 'none'}, asked for and absent"
            f" {absent or 'none'}, left out by RDS {left_out or 'none'}. A table can be left out on purpose by naming"
            " the others in `tables`"
        )


def require_row_counts(contents: Contents, expected: Mapping[str, int]) -> None:
    """
    Args:
        expected: Rows of each table, by database.schema.table, as they were in the snapshot.

    Raises:
        VerificationFailed: a table has another number of rows, or is missing.
    """
    seen = {table.name: table.rows for table in contents.tables}
    expected = {CONVERTED.sub("_", name): rows for name, rows in expected.items()}
    wrong = sorted(name for name, rows in expected.items() if seen.get(name) != rows)
    if wrong:
        told = "; ".join(f"{name} has {seen.get(name, 'no')} rows, expected {expected[name]}" for name in wrong)
        raise VerificationFailed(f"{contents.where} differs from its snapshot: {told}")


def is_asked_for(name: str, asked: tuple[str, ...]) -> bool:
    return not asked or any(f"{name}.".startswith(f"{part}.") for part in asked)


def say_contents(contents: Contents) -> None:
    say("| table | objects | bytes | rows |")
    say("|---|---|---|---|")
    for table in contents.tables:
        say(f"| {table.name} | {table.objects} | {table.bytes} | {table.rows} |")


def _list_objects(bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    s3: S3Client = aws.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", []):
            yield one["Key"], one["Size"]


def _table(name: str, bucket: str, sizes: Mapping[str, int]) -> ExportedTable:
    """From the objects of one table: it is whole when each of its folders has a marker of success."""
    data = {key: size for key, size in sizes.items() if not key.rpartition("/")[2].startswith("_")}
    rows = sum(_count_rows(bucket, key, size) for key, size in data.items())
    is_whole = all(f"{key.rpartition('/')[0]}/_SUCCESS" in sizes for key in sizes)
    return ExportedTable(name, len(data), sum(data.values()), rows, is_whole)


def _count_rows(bucket: str, key: str, size: int) -> int:
    """From the footer alone: its length stands before the last four bytes, behind everything else."""
    import pyarrow as pa  # noqa: PLC0415 - large, and only for those who export
    import pyarrow.parquet as pq  # noqa: PLC0415

    tail = _read_tail(bucket, key, FOOTER_BYTES) if size else b""
    length = int.from_bytes(tail[-LENGTH_BYTES:-4], "little") + LENGTH_BYTES
    if FOOTER_BYTES < length <= size:
        tail = _read_tail(bucket, key, length)
    try:
        return int(pq.read_metadata(pa.BufferReader(tail[-length:])).num_rows)
    except pa.ArrowInvalid as error:
        raise VerificationFailed(
            f"s3://{bucket}/{key} is {size} bytes that end in {tail[-4:]!r}, expected a Parquet file that ends in"
            f" {PARQUET!r}: {error}. The export is of no use: start a new run"
        ) from error


def _read_tail(bucket: str, key: str, length: int) -> bytes:
    return bytes(aws.client("s3").get_object(Bucket=bucket, Key=key, Range=f"bytes=-{length}")["Body"].read())


def _read_statuses(bucket: str, key: str) -> dict[str, str]:
    listed = json.loads(aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())["perTableStatus"]
    return {one["target"]: one["status"] for one in listed}


def _left_out(warning: str) -> Iterator[str]:
    """What RDS skipped, as its warning tells it; the rest of a warning is about how it wrote some characters."""
    told = json.loads(warning) if warning else {}
    for one in (*told.get("skippedTables", []), *told.get("skippedObjectives", [])):
        yield json.dumps(one)
    for one in told.get("general", []):
        if "FAILED" in json.dumps(one):
            yield json.dumps(one)
