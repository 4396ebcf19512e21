"""Real backups of a real database, restored and judged; what went wrong is told and nothing stays."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State

from flows.sweep_residue import sweep_residue
from flows.verify_backup import verify_backup
from tasks import baseline, rds
from tasks.database_state import compare_with_state
from tasks.terraform import state_address
from tests import killing
from tests.backed_up import BUCKET, DB, PASSWORD, BackedUp
from tests.stack import NAME

FLOW = "flows.verify_backup"
COPY = f"{DB}-verify-neveraga"


@pytest.fixture(autouse=True)
def _nothing_stays(backed_up: BackedUp) -> Iterator[None]:
    yield
    httpx.delete(f"{backed_up.lab['url']}/lab/faults").raise_for_status()
    assert backed_up.residue() == []


def verify(point: str = "latest-snapshot", depth: str = "content", **how: Any) -> State[Any]:
    return verify_backup("dev", point, depth, return_state=True, **{"mutants": False, **how})  # type: ignore[call-overload]


def evidence(backed_up: BackedUp) -> dict[str, Any]:
    """What the last verification left."""
    s3 = backed_up.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="verifications/")["Contents"]
    key = max(found, key=lambda one: one["LastModified"])["Key"]
    return json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def test_a_moment_is_verified_in_every_layer_every_mutant_is_caught_and_the_source_is_not_written(
    backed_up: BackedUp,
) -> None:
    backed_up.heartbeat()
    before = writes(backed_up)
    state = verify("now", "signed", mutants=True)
    assert state.is_completed(), state.message
    found = evidence(backed_up)
    layers = {one["layer"]: one for one in found["verdicts"]}
    assert [name[:2] for name in layers] == ["P6", "L0", "L1", "L2", "L3", "L4", "mu", "L5"]
    assert not any(one["reasons"] for one in layers.values())
    assert any("mutants caught 10/10" in fact for fact in layers["mutants"]["facts"])
    assert found["restore_seconds"] > 0
    assert writes(backed_up) == before
    assert "(exactly)" in facts(backed_up, "L3 content")
    assert PASSWORD not in json.dumps(found)


def writes(backed_up: BackedUp) -> Any:
    """How many rows of the source were ever written, by table; the heartbeats' own writer is not running."""
    with backed_up.session() as database, database.cursor() as sql:
        sql.execute("select pg_stat_clear_snapshot()")
        sql.execute("select relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables order by 1")
        return sql.fetchall()


def test_a_snapshot_is_compared_with_the_records_around_it(backed_up: BackedUp) -> None:
    state = verify(backed_up.snapshot)
    assert state.is_completed(), state.message
    assert "around the backup" in facts(backed_up, "L3 content")


def test_a_moment_of_a_source_that_is_always_written_lies_between_two_records(
    backed_up: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline, "PATIENCE_SECONDS", 1.0)
    backed_up.heartbeat()
    with moving_on(backed_up):
        state = verify("now")
    assert state.is_completed(), state.message
    assert "around the backup" in facts(backed_up, "L3 content")


def test_a_point_in_time_is_compared_with_what_the_source_has_not_changed_since(backed_up: BackedUp) -> None:
    backed_up.heartbeat()
    point = datetime.now(UTC)
    backed_up.write("update items set price = price + 1, updated_at = now() where id = 5")
    state = verify(point.isoformat())
    assert state.is_completed(), state.message
    assert "1 rows of table public.items were changed since" in facts(backed_up, "L3 content")


def test_a_backup_that_differs_in_one_value_is_red_and_names_the_row_and_not_the_value(backed_up: BackedUp) -> None:
    """Production had another price for a while, and nothing that says so; the snapshot is of that while."""
    backed_up.write("update items set price = 777123 where id = 7")
    bad = take_snapshot(backed_up)
    backed_up.write("update items set price = 1.75 where id = 7")
    state = verify(bad)
    assert state.is_failed()
    assert "rows of table public.items differ from the source: 7 differs in price" in state.message
    assert "777123" not in state.message


def test_a_backup_that_lacks_a_row_and_an_index_says_both(backed_up: BackedUp) -> None:
    backed_up.write("drop index idx_items_created_at; update items set name = 'x' where id = 9")
    bad = take_snapshot(backed_up)
    backed_up.write("create index idx_items_created_at on items (created_at)")
    backed_up.write("update items set name = 'item 9' where id = 9")
    state = verify(bad)
    assert state.is_failed()
    assert "idx_items_created_at is missing" in state.message
    assert "L3 content" in state.message


def take_snapshot(backed_up: BackedUp) -> str:
    """As somebody takes it by hand: nothing is recorded around it."""
    rds, name = backed_up.client("rds"), f"by-hand-{datetime.now(UTC):%H%M%S%f}"
    rds.create_db_snapshot(DBInstanceIdentifier=DB, DBSnapshotIdentifier=name)
    rds.get_waiter("db_snapshot_available").wait(DBSnapshotIdentifier=name, WaiterConfig={"Delay": 1})
    return name


@contextmanager
def moving_on(backed_up: BackedUp) -> Iterator[None]:
    """Users write, some hundred times a second, until the end."""
    ended = threading.Event()

    def write() -> None:
        with backed_up.session() as database:
            database.autocommit = True
            while not ended.wait(0.01):
                with database.cursor() as sql:
                    sql.execute("insert into items (name, price) values ('moving on', 2)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def facts(backed_up: BackedUp, layer: str) -> str:
    (found,) = (one for one in evidence(backed_up)["verdicts"] if one["layer"] == layer)
    return "; ".join(found["facts"])


class TestClearlyRed:
    @pytest.mark.parametrize(
        ("point", "words"),
        [
            ("demo-flask-app-dev-db-expired", "there is no available snapshot 'demo-flask-app-dev-db-expired'"),
            ("2020-01-01T00:00:00Z", "is before the oldest backup"),
            ("2120-01-01T00:00:00Z", "is in the future"),
            ("2026-11-24T09:30:00", "has no time zone"),
        ],
    )
    def test_a_backup_that_is_not_there_is_refused_before_anything_is_made(
        self, backed_up: BackedUp, point: str, words: str
    ) -> None:
        before = backed_up.restores()
        state = verify(point)
        assert state.is_failed()
        assert words in state.message
        assert backed_up.restores() == before

    def test_a_full_account(self, backed_up: BackedUp) -> None:
        quotas = f"{backed_up.lab['url']}/lab/quotas"
        httpx.post(quotas, json={"DBInstances": 1}).raise_for_status()
        try:
            state = verify()
        finally:
            httpx.post(quotas, json={"DBInstances": 40}).raise_for_status()
        assert state.is_failed()
        assert "InstanceQuotaExceeded" in state.message

    @pytest.mark.parametrize("ending", ["incompatible-restore", "failed"])
    def test_an_instance_that_does_not_come_up(self, backed_up: BackedUp, ending: str) -> None:
        plan_outcome(backed_up, ending)
        state = verify()
        assert state.is_failed()
        assert f"is '{ending}', expected 'available'" in state.message

    def test_a_verification_that_outlives_its_window(self, backed_up: BackedUp) -> None:
        plan_outcome(backed_up, "never")
        state = verify(window_minutes=0.05)
        assert state.is_failed()
        assert "was 'creating' after 3 s, expected 'available'" in state.message


def plan_outcome(backed_up: BackedUp, code: str) -> None:
    fault = {"match": "rds:RestoreDBInstance.*", "kind": "outcome", "code": code, "times": 1}
    httpx.post(f"{backed_up.lab['url']}/lab/faults", json=fault).raise_for_status()


@pytest.mark.exhaustive
def test_killed_at_every_task_boundary_it_ends_with_one_restore_the_same_verdict_and_no_residue(
    backed_up: BackedUp, backed_up_environment: dict[str, str]
) -> None:
    """Its last layer writes into the copy: what the others said of it must outlive a kill behind that."""
    before = backed_up.restores()
    parameters = {"environment": "dev", "point": backed_up.snapshot, "depth": "full"}
    killing.kill_everywhere(FLOW, parameters, backed_up_environment)
    assert {one["layer"][:2] for one in evidence(backed_up)["verdicts"]} >= {"L0", "L1", "L2", "L3", "L4", "mu", "L5"}
    assert backed_up.restores() == before + 1
    assert backed_up.residue() == []


def test_killed_and_never_started_again_the_copy_has_productions_settings_and_the_sweeper_removes_it(
    backed_up: BackedUp, backed_up_environment: dict[str, str]
) -> None:
    parameters = {"environment": "dev", "point": backed_up.snapshot, "depth": "content"}
    mortal = {**backed_up_environment, "RUN_ID": "never-again"}
    assert killing.run("before:judge_instance", FLOW, parameters, mortal) == killing.KILLED
    copy, source = backed_up.instance(COPY), backed_up.instance(DB)
    for same in ("DBSubnetGroup", "VpcSecurityGroups", "DBInstanceClass", "StorageEncrypted", "EngineVersion"):
        assert copy[same] == source[same]
    assert copy["DBParameterGroups"][0]["DBParameterGroupName"] == f"{NAME}-pg15"
    assert not copy["MultiAZ"]
    assert not copy["DeletionProtection"]
    assert {"runbook:run-id", "runbook:flow", "runbook:expires-at"} <= {tag["Key"] for tag in copy["TagList"]}
    assert sweep_residue("dev", include_unexpired=True, return_state=True).is_completed()  # type: ignore[call-overload]
    assert backed_up.residue() == []


def test_a_setting_that_was_changed_by_hand_is_told_by_terraforms_state(backed_up: BackedUp) -> None:
    db = rds.describe_db_instance.fn(DB)
    assert "no RDS instance" in compare_with_state("dev", db)[1]
    found = backed_up.instance(DB)
    state = {
        "identifier": DB,
        "instance_class": "db.t3.micro",
        "db_subnet_group_name": DB,
        "vpc_security_group_ids": [backed_up.production.security_group],
        "parameter_group_name": "another",
        "port": found["Endpoint"]["Port"],
        "storage_type": "gp3",
        "publicly_accessible": False,
        "multi_az": False,
        "storage_encrypted": True,
    }
    resource = {"type": "aws_db_instance", "mode": "managed", "instances": [{"attributes": state}]}
    where, s3 = state_address("dev"), backed_up.client("s3")
    s3.create_bucket(Bucket=where.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    s3.put_object(Bucket=where.bucket, Key=where.key, Body=json.dumps({"resources": [resource]}))
    (drifted,), _ = compare_with_state("dev", db)
    assert f"parameter_group_name is '{NAME}-pg15', expected 'another'" in drifted
    s3.delete_object(Bucket=where.bucket, Key=where.key)
