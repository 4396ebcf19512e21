"""Exports of a real snapshot: whole and readable, once for each run, and red with the cause when they are not."""

import gzip
import io
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from prefect.client.schemas.objects import State

from flows.export_snapshot import export_snapshot
from tasks import aws, export_tasks
from tasks.environment import Environment, parameter_name
from tests import killing
from tests.exporting import Exporting
from tests.flows.conftest import reaching
from tests.records import record
from tests.running import running_lab
from tests.stack import NAME

TABLES = (
    "CREATE TABLE items AS SELECT id, 'item ' || id AS name FROM generate_series(1, 1000) id",
    "CREATE TABLE notes (id integer)",
)
LISTS = ("critical_alarm_names", "warning_alarm_names")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A lab of this file's own, quicker than the session's: RDS restores a snapshot before it exports it."""
    with running_lab(tmp_path_factory.mktemp("exports") / "home", 400) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def exporting(lab: dict[str, Any]) -> Iterator[Exporting]:
    """The environment dev, as far as an export sees it, with one snapshot beside the automated one."""
    with reaching(lab["env"]):
        made = Exporting(aws.client, NAME)
        made.build(*TABLES)
        outputs = {field.name: "[]" if field.name in LISTS else "none" for field in fields(Environment)}
        outputs |= {"db_identifier": made.database, "backup_bucket": made.bucket}
        outputs |= {"export_role_arn": made.role, "export_kms_key_arn": made.key}
        for name, value in outputs.items():
            aws.client("ssm").put_parameter(Name=parameter_name("dev", name), Value=value, Type="String")
        made.snapshot("filled")
        yield made


@pytest.fixture
def fault(lab: dict[str, Any]) -> Iterator[Any]:
    """Spoil the next StartExportTask."""

    def plan(**fault: Any) -> None:
        wanted = {"match": "rds:StartExportTask", "times": 1, **fault}
        httpx.post(f"{lab['url']}/lab/faults", json=wanted).raise_for_status()

    yield plan
    httpx.delete(f"{lab['url']}/lab/faults").raise_for_status()


def export(**parameters: Any) -> State[Any]:
    return export_snapshot("dev", return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def rows(exporting: Exporting, path: str) -> dict[str, int]:
    """The rows of each table below `path`, as Parquet's own reader counts them."""
    found: dict[str, int] = {}
    for name, body in exporting.objects(path).items():
        table = "/".join(name.split("/")[:2])
        if name.endswith("_SUCCESS"):
            found.setdefault(table, 0)
        if name.endswith(".parquet"):
            found[table] = found.get(table, 0) + pq.read_table(io.BytesIO(body)).num_rows
    return found


def test_the_newest_snapshot_is_exported_table_by_table(exporting: Exporting) -> None:
    state = export()
    assert state.is_completed()
    task = exporting.task(message(state))
    assert (task["Status"], task["SourceArn"].split(":")[-1]) == ("COMPLETE", "filled")
    path = f"exports/30-days/{message(state)}/"
    assert rows(exporting, path) == {"demo_db/public.items": 1000, "demo_db/public.notes": 0}


def test_another_run_exports_again_and_touches_nothing(exporting: Exporting) -> None:
    before = exporting.objects()
    state = export(snapshot="filled", tables=["demo_db.public.items"], expires_days=7)
    assert state.is_completed()
    assert rows(exporting, f"exports/7-days/{message(state)}/") == {"demo_db/public.items": 1000}
    after = exporting.objects()
    assert {name: after[name] for name in before} == before


def test_a_failed_export_is_red_and_says_why(exporting: Exporting, fault: Any) -> None:
    fault(kind="outcome", code="failed")
    state = export()
    assert state.is_failed()
    assert "is FAILED, expected COMPLETE: An unknown internal error occurred." in message(state)


def test_what_rds_refuses_is_red_and_nothing_is_exported(exporting: Exporting) -> None:
    before = (exporting.tasks(), exporting.objects())
    exporting.forbid("s3:PutObject")
    state = export()
    exporting.forbid_nothing()
    assert state.is_failed()
    assert "isn't authorized to call s3:PutObject" in message(state)
    assert "Nothing was exported" in message(state)
    assert (exporting.tasks(), exporting.objects()) == before


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({"snapshot": "absent"}, "has no available snapshot absent"), ({"expires_days": 8}, "expires_days")],
)
def test_a_wish_that_cannot_be_met_is_refused_by_name(
    exporting: Exporting, parameters: dict[str, Any], named: str
) -> None:
    before = exporting.tasks()
    assert named in message(export(**parameters))
    assert exporting.tasks() == before


def test_a_dry_run_exports_nothing(exporting: Exporting) -> None:
    before = exporting.tasks()
    assert export(dry_run=True).is_completed()
    assert exporting.tasks() == before


def test_an_answer_that_is_lost_makes_no_second_export(exporting: Exporting, fault: Any) -> None:
    before = len(exporting.tasks())
    fault(kind="lost-response")
    assert export().is_completed()
    assert len(exporting.tasks()) == before + 1


def test_an_export_of_somebody_else_is_left_alone(exporting: Exporting, fault: Any) -> None:
    fault(kind="outcome", code="never")
    theirs = exporting.start("theirs", "filled")
    state = export()
    assert state.is_failed()
    assert "being exported by somebody else" in message(state)
    assert exporting.task(theirs)["Status"] == "STARTING"
    aws.client("rds").cancel_export_task(ExportTaskIdentifier=theirs)
    exporting.wait(theirs)


def test_an_export_that_never_ends_is_cancelled(
    exporting: Exporting, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {task["ExportTaskIdentifier"] for task in exporting.tasks()}
    monkeypatch.setattr(export_tasks, "LONGEST_SECONDS", 0.2)
    fault(kind="outcome", code="never")
    state = export()
    assert state.is_failed()
    assert "expected COMPLETE" in message(state)
    (late,) = {task["ExportTaskIdentifier"] for task in exporting.tasks()} - known
    assert exporting.wait(late)[-1] == "CANCELED"


def test_a_run_killed_at_every_task_boundary_makes_one_export(
    exporting: Exporting, lab: dict[str, Any], prefect_server: str
) -> None:
    environment = killing.variables(lab["env"], prefect_server)
    before, wanted = len(exporting.tasks()), {"environment": "dev"}
    assert killing.run("sleep:0", "flows.export_snapshot", wanted, environment) == killing.KILLED
    exporting.snapshot("newer")  # the run stays with the snapshot that it began to export
    killing.kill_everywhere("flows.export_snapshot", wanted, environment)
    assert len(exporting.tasks()) == before + 1
    name = f"export-{killing.RUN_ID}"
    assert exporting.task(name)["SourceArn"].endswith(":filled")
    path = f"exports/30-days/{name}/"
    assert rows(exporting, path) == {"demo_db/public.items": 1000, "demo_db/public.notes": 0}
    (damaged,) = [key for key in exporting.objects(path) if key.endswith(".parquet")]
    aws.client("s3").put_object(Bucket=exporting.bucket, Key=f"{path}{damaged}", Body=b"damaged")
    assert killing.run("never", "flows.export_snapshot", wanted, environment) == 1


def test_an_export_with_other_rows_than_were_recorded_around_its_snapshot_is_red(exporting: Exporting) -> None:
    exporting.snapshot("recorded")
    told = gzip.compress(record(items=(1000, 77), notes=(1, 5)).to_json().encode())
    for when in ("before", "after"):
        aws.client("s3").put_object(Bucket=exporting.bucket, Key=f"baselines/recorded/{when}.json.gz", Body=told)
    state = export(snapshot="recorded")
    assert state.is_failed()
    assert message(state).endswith("differs from its snapshot: demo_db.public.notes has 0 rows, expected 1")
