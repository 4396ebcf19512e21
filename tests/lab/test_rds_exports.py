"""Exports of snapshots: real rows in real Parquet files, in RDS's layout, and what RDS refuses."""

import io
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from tests.exporting import Exporting

PART = re.compile(r"(.+)/(\d+)/part-(\d{5})-[0-9a-f-]{36}\.gz\.parquet")
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "export.rds.amazonaws.com"}}
DATABASE = (
    """CREATE TABLE kinds (small smallint, whole integer, large bigint, half real, float double precision,
       exact numeric(12, 2), price money, yes boolean, code char(4), words text, day date,
       moment timestamptz, span interval, raw bytea, tree jsonb, numbers integer[], key uuid, hidden oid)""",
    """INSERT INTO kinds VALUES (1, 2, 3, 0.5, 'NaN', 'NaN', 12.5, true, 'ab', 'grüß', '2026-01-31',
       '2026-01-31 12:00:00.123456+02', '1 day 02:03', '\\xdeadbeef', '{"b": 1, "a": null}', '{1,NULL,3}',
       '00000000-0000-0000-0000-000000000001', 99)""",
    "INSERT INTO kinds DEFAULT VALUES",
    "CREATE TABLE bare (id integer)",
    "CREATE TABLE measures (at date, value integer) PARTITION BY RANGE (at)",
    "CREATE TABLE measures_1 PARTITION OF measures FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE measures_2 PARTITION OF measures FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
    "INSERT INTO measures VALUES ('2026-01-05', 1), ('2026-02-05', 2), ('2026-02-06', 3)",
    "CREATE UNLOGGED TABLE unlogged (id integer)",
    'CREATE TABLE spaced ("two words" integer)',
    "CREATE SCHEMA other",
    "CREATE TABLE other.items AS SELECT generate_series(1, 150000) AS id",
)


@pytest.fixture(scope="module")
def exporting(quick_client: Callable[[str], Any]) -> Exporting:
    made = Exporting(cache(quick_client), "demo")
    made.build(*DATABASE)
    return made


@pytest.fixture(scope="module")
def snapshot(exporting: Exporting) -> str:
    return exporting.snapshot("before")


@pytest.fixture(scope="module")
def statuses(exporting: Exporting, snapshot: str) -> list[str]:
    """Those of a whole export, whose files lie below exports/whole/."""
    return exporting.wait(exporting.start("whole", "before", S3Prefix="exports"))


@pytest.fixture(scope="module")
def objects(exporting: Exporting, statuses: list[str]) -> dict[str, bytes]:
    return exporting.objects("exports/whole/")


def parts(objects: dict[str, bytes], table: str) -> list[pa.Table]:
    """The Parquet files of `demo_db/<schema>.<table>`, in order."""
    found = {(m[2], m[3]): body for name, body in objects.items() if (m := PART.fullmatch(name)) and m[1] == table}
    return [pq.read_table(io.BytesIO(found[number])) for number in sorted(found)]


def test_an_export_goes_through_rds_s_states(exporting: Exporting, statuses: list[str]) -> None:
    assert statuses == ["STARTING", "IN_PROGRESS", "COMPLETE"]
    task = exporting.task("whole")
    assert (task["PercentProgress"], task["SourceType"], task["S3Prefix"]) == (100, "SNAPSHOT", "exports")
    assert task["TaskEndTime"] >= task["TaskStartTime"]


def test_each_value_arrives_as_rds_documents_it(objects: dict[str, bytes]) -> None:
    (kinds,) = parts(objects, "demo_db/public.kinds")
    types = {field.name: str(field.type) for field in kinds.schema if field.type != pa.string()}
    assert types == {
        "small": "int16",
        "whole": "int32",
        "large": "int64",
        "half": "float",
        "float": "double",
        "yes": "bool",
        "raw": "binary",
    }
    first, second = kinds.to_pylist()
    assert str(first.pop("float")) == "nan"
    assert first == {
        "small": 1,
        "whole": 2,
        "large": 3,
        "half": 0.5,
        "exact": "NaN",
        "price": "$12.50",
        "yes": True,
        "code": "ab  ",
        "words": "grüß",
        "day": "2026-01-31",
        "moment": "2026-01-31 10:00:00.123456+00",
        "span": "1 day 02:03:00",
        "raw": b"\xde\xad\xbe\xef",
        "tree": '{"a": null, "b": 1}',
        "numbers": "{1,NULL,3}",
        "key": "00000000-0000-0000-0000-000000000001",
    }
    assert set(second.values()) == {None}


def test_tables_lie_in_rds_s_layout(objects: dict[str, bytes]) -> None:
    folders = {name.rpartition("/")[0] for name in objects if name.endswith("/_SUCCESS")}
    assert folders == {
        "demo_db/public.kinds/1",
        "demo_db/public.bare/1",
        "demo_db/public.measures/1",
        "demo_db/public.measures/2",
        "demo_db/other.items/1",
    }
    assert [part.num_rows for part in parts(objects, "demo_db/public.measures")] == [1, 2]
    large = parts(objects, "demo_db/other.items")
    assert len(large) == 2
    assert pa.concat_tables(large)["id"].to_pylist() == list(range(1, 150_001))
    assert parts(objects, "demo_db/public.bare") == []


def test_two_kinds_of_files_tell_of_the_export(exporting: Exporting, objects: dict[str, bytes]) -> None:
    info = json.loads(objects["export_info_whole.json"])
    assert (info["status"], info["exportedFilesPath"]) == ("COMPLETE", "exports/whole")
    assert (info["kmsKeyId"], info["s3Bucket"]) == (exporting.key, exporting.bucket)
    tables = json.loads(objects["export_tables_info_whole_from_1_to_4.json"])["perTableStatus"]
    told = {one["target"]: one for one in tables}
    assert set(told) == {
        f"demo_db.{name}" for name in ("other.items", "public.bare", "public.kinds", "public.measures")
    }
    assert {one["status"] for one in tables} == {"COMPLETE"}
    mapped = {
        each["columnName"]: each for each in told["demo_db.public.kinds"]["schemaMetadata"]["originalTypeMappings"]
    }
    assert (mapped["exact"]["originalType"], mapped["exact"]["expectedExportedType"]) == ("numeric", "binary (UTF8)")


def test_what_is_left_out_is_in_the_warning(exporting: Exporting, statuses: list[str]) -> None:
    skipped = json.loads(exporting.task("whole")["WarningMessage"])["skippedTables"]
    assert [one["tableName"] for one in skipped] == ["demo_db.public.spaced"]


def test_files_are_encrypted_with_the_key_that_was_asked_for(exporting: Exporting, objects: dict[str, bytes]) -> None:
    name = next(name for name in objects if name.endswith(".parquet"))
    head = exporting.clients("s3").head_object(Bucket=exporting.bucket, Key=f"exports/whole/{name}")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", exporting.key)


def test_a_part_of_a_snapshot_is_exported_even_when_it_is_deleted_meanwhile(
    exporting: Exporting, snapshot: str
) -> None:
    exporting.snapshot("short-lived")
    parts = ["demo_db.other", "demo_db.public.measures", "demo_db.absent"]
    exporting.start("part", "short-lived", ExportOnly=parts)
    exporting.clients("rds").delete_db_snapshot(DBSnapshotIdentifier="short-lived")
    assert exporting.wait("part")[-1] == "COMPLETE"
    tables = {name.split("/")[1] for name in exporting.objects("part/") if "/" in name}
    assert tables == {"other.items", "public.measures"}
    warning = json.loads(exporting.task("part")["WarningMessage"])
    assert [one["objective"] for one in warning["skippedObjectives"]] == ["demo_db.absent"]


def test_a_cancelled_export_ends_and_cannot_be_cancelled_again(exporting: Exporting, snapshot: str) -> None:
    exporting.start("unwanted", "before")
    assert exporting.task("unwanted")["Status"] == "STARTING"
    rds = exporting.clients("rds")
    assert rds.cancel_export_task(ExportTaskIdentifier="unwanted")["Status"] == "CANCELING"
    assert exporting.wait("unwanted")[-1] == "CANCELED"
    with pytest.raises(rds.exceptions.InvalidExportTaskStateFault):
        rds.cancel_export_task(ExportTaskIdentifier="unwanted")


def test_an_export_that_may_no_longer_write_fails_and_says_so(exporting: Exporting, snapshot: str) -> None:
    exporting.start("forbidden", "before")
    exporting.forbid("s3:PutObject")
    assert exporting.wait("forbidden")[-1] == "FAILED"
    exporting.forbid_nothing()
    assert "isn't authorized to call s3:PutObject" in exporting.task("forbidden")["FailureCause"]


def test_exports_are_found_by_their_facts(exporting: Exporting, snapshot: str) -> None:
    rds = exporting.clients("rds")

    def found(**wanted: Any) -> list[str]:
        return [task["ExportTaskIdentifier"] for task in rds.describe_export_tasks(**wanted)["ExportTasks"]]

    exporting.start("looked-for", "before")
    assert "looked-for" in found(SourceArn=snapshot)
    assert found(Filters=[{"Name": "status", "Values": ["starting", "in_progress"]}]) == ["looked-for"]
    assert found(SourceType="CLUSTER") == []
    with pytest.raises(rds.exceptions.ExportTaskNotFoundFault):
        found(ExportTaskIdentifier="absent")
    assert refusal(exporting, "another") == "ExportTaskAlreadyExists"
    exporting.wait("looked-for")
    assert refusal(exporting, "looked-for") == "ExportTaskAlreadyExists"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"SourceArn": "arn:aws:rds:eu-north-1:123456789012:snapshot:absent"}, "DBSnapshotNotFound"),
        ({"S3BucketName": "absent"}, "InvalidS3BucketFault"),
        ({"S3Prefix": "a:b"}, "InvalidS3BucketFault"),
        ({"IamRoleArn": "arn:aws:iam::123456789012:role/absent"}, "IamRoleNotFound"),
        ({"KmsKeyId": "00000000-0000-0000-0000-000000000000"}, "KMSKeyNotAccessibleFault"),
        ({"ExportOnly": ["demo_db.public.kinds.words"]}, "InvalidExportOnly"),
        ({"ExportOnly": ["demo_db.two words"]}, "InvalidExportOnly"),
        ({"ExportTaskIdentifier": "two--hyphens"}, "InvalidParameterValue"),
    ],
)
def test_what_rds_cannot_export_is_refused(
    exporting: Exporting, snapshot: str, asked: dict[str, Any], code: str
) -> None:
    assert refusal(exporting, "refused", **asked) == code


def test_a_snapshot_that_is_not_there_yet_is_refused(exporting: Exporting, snapshot: str) -> None:
    rds = exporting.clients("rds")
    made = rds.create_db_snapshot(DBInstanceIdentifier=exporting.database, DBSnapshotIdentifier="coming")["DBSnapshot"]
    assert refusal(exporting, "early", SourceArn=made["DBSnapshotArn"]) == "InvalidExportSourceState"


@pytest.mark.parametrize(
    ("trust", "actions"),
    [
        ({**TRUST, "Principal": {"Service": "rds.amazonaws.com"}}, ["s3:*"]),
        (TRUST, ["s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject"]),
    ],
    ids=["for another service", "may not write"],
)
def test_a_role_that_does_not_fit_is_refused(
    exporting: Exporting,
    snapshot: str,
    trust: dict[str, Any],
    actions: list[str],
    request: pytest.FixtureRequest,
) -> None:
    role = exporting.create_role(request.node.callspec.id.replace(" ", "-"), trust, actions)
    assert refusal(exporting, "refused", IamRoleArn=role) == "IamRoleMissingPermissions"


def refusal(exporting: Exporting, name: str, **asked: Any) -> str:
    with pytest.raises(ClientError) as refused:
        exporting.start(name, "before", **asked)
    return str(refused.value.response["Error"]["Code"])
