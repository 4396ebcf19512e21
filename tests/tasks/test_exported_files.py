"""What was exported is judged: every table whole, none left out, every file Parquet, every row counted."""

import io
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import aws
from tasks.errors import VerificationFailed
from tasks.exported_files import (
    FOOTER_BYTES,
    Contents,
    ExportedTable,
    read_contents,
    require_complete,
    require_row_counts,
)

ITEMS = ExportedTable("demo_db.public.items", 2, 4096, 1000, is_whole=True)
EMPTY = ExportedTable("demo_db.public.two_words", 0, 0, 0, is_whole=True)
WHOLE = Contents("s3://b/p/", (ITEMS, EMPTY), {ITEMS.name: "COMPLETE", "demo_db.public.two words": "COMPLETE"})
BUCKET = "exports-of-a-test"


def test_whole_tables_are_complete_also_empty_ones_and_those_whose_names_rds_converts() -> None:
    require_complete(WHOLE, (), "")
    require_complete(WHOLE, ("demo_db.public",), '{"general": [{"reason": "STRING_CONVERTED"}]}')


@pytest.mark.parametrize(
    ("contents", "asked", "warning", "named"),
    [
        (replace(WHOLE, tables=(ITEMS,)), (), "", "incomplete ['demo_db.public.two_words']"),
        (replace(WHOLE, tables=(replace(ITEMS, is_whole=False), EMPTY)), (), "", f"incomplete ['{ITEMS.name}']"),
        (replace(WHOLE, told={**WHOLE.told, ITEMS.name: "FAILED"}), (), "", f"incomplete ['{ITEMS.name}']"),
        (replace(WHOLE, told={ITEMS.name: "COMPLETE"}), (), "", "not in RDS's list ['demo_db.public.two_words']"),
        (WHOLE, ("demo_db.public.item",), "", "asked for and absent ['demo_db.public.item']"),
        (WHOLE, (), '{"skippedTables": [{"tableName": "x.y.z"}]}', "x.y.z"),
        (WHOLE, (), '{"general": [{"reason": "FAILED_TO_EXTRACT_TABLES_LIST_FOR_DATABASE"}]}', "FAILED_TO_EXTRACT"),
        (Contents("s3://b/p/", (), {}), (), "", "has 0 whole tables"),
    ],
)
def test_what_is_not_complete_is_named(contents: Contents, asked: tuple[str, ...], warning: str, named: str) -> None:
    with pytest.raises(VerificationFailed) as refused:
        require_complete(contents, asked, warning)
    assert named in str(refused.value)


def test_another_number_of_rows_is_a_difference() -> None:
    require_row_counts(WHOLE, {ITEMS.name: 1000})
    with pytest.raises(VerificationFailed, match=r"items has 1000 rows, expected 999; .*orders has no rows"):
        require_row_counts(WHOLE, {ITEMS.name: 999, "demo_db.public.orders": 1})


@pytest.fixture
def put(account: dict[str, Any]) -> Any:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    return lambda key, body: s3.put_object(Bucket=BUCKET, Key=f"exports/one/{key}", Body=body)


def parquet(rows: int, columns: int) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({f"column_{i}": range(rows) for i in range(columns)}), sink, compression="gzip")
    return sink.getvalue()


def test_rows_are_counted_from_footers_of_any_length(put: Any) -> None:
    long = parquet(3, 1500)
    assert int.from_bytes(long[-8:-4], "little") > FOOTER_BYTES
    files = {"db/public.a/1/part-00000-x.gz.parquet": parquet(5, 2), "db/public.a/2/part-00000-y.gz.parquet": long}
    for key, body in {**files, "db/public.a/1/_SUCCESS": b"", "db/public.b/1/_SUCCESS": b""}.items():
        put(key, body)
    told = {"perTableStatus": [{"target": "db.public.a", "status": "COMPLETE"}]}
    put("export_tables_info_one_from_1_to_2.json", json.dumps(told).encode())
    found = read_contents.fn(BUCKET, "exports/one/")
    size = sum(len(body) for body in files.values())
    assert found.tables == (
        ExportedTable("db.public.a", 2, size, 8, is_whole=False),  # its second folder has no marker
        ExportedTable("db.public.b", 0, 0, 0, is_whole=True),
    )
    assert found.told == {"db.public.a": "COMPLETE"}


@pytest.mark.parametrize("body", [b"", b"neither", b"\xff\xff\xff\x7fPAR1", parquet(5, 2)[:-1]])
def test_a_file_that_is_not_parquet_is_named(put: Any, body: bytes) -> None:
    put("db/public.a/1/part-00000-x.gz.parquet", body)
    with pytest.raises(VerificationFailed, match=r"part-00000-x\.gz\.parquet is"):
        read_contents.fn(BUCKET, "exports/one/")
