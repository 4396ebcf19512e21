"""A snapshot that can be proven later: named, tagged, waited for, with what the database held on both sides of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from flows.snapshot_database import snapshot_database
from tests import killing
from tests.backed_up import BUCKET, DB, BackedUp

FLOW = "flows.snapshot_database"


@pytest.fixture(autouse=True)
def _as_found(backed_up: BackedUp) -> Iterator[None]:
    before = set(snapshots(backed_up))
    yield
    httpx.delete(f"{backed_up.lab['url']}/lab/faults").raise_for_status()
    for name in set(snapshots(backed_up)) - before:
        backed_up.client("rds").delete_db_snapshot(DBSnapshotIdentifier=name)


def snapshots(backed_up: BackedUp) -> dict[str, Any]:
    found = backed_up.client("rds").describe_db_snapshots(DBInstanceIdentifier=DB, SnapshotType="manual")
    return {one["DBSnapshotIdentifier"]: one for one in found["DBSnapshots"]}


def records(backed_up: BackedUp, snapshot: str) -> list[str]:
    found = backed_up.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"baselines/{snapshot}/")
    return [one["Key"].rpartition("/")[2] for one in found.get("Contents", [])]


def test_it_is_named_for_its_reason_tagged_and_recorded_on_both_sides(backed_up: BackedUp) -> None:
    name = snapshot_database("dev", "Upgrade to 15.8", keep_days=7)
    made = snapshots(backed_up)[name]
    assert name.startswith(f"{DB}-upgrade-to-15-8-")
    assert (made["Status"], made["Encrypted"]) == ("available", True)
    tags = {one["Key"]: one["Value"] for one in made["TagList"]}
    assert tags["runbook:reason"] == "Upgrade to 15.8"
    expires = datetime.fromisoformat(tags["runbook:expires-at"])
    assert timedelta(days=6) < expires - datetime.now(UTC) <= timedelta(days=7)
    assert records(backed_up, name) == ["after.json.gz", "before.json.gz"]


def test_killed_at_every_task_boundary_there_is_one_snapshot(
    backed_up: BackedUp, backed_up_environment: dict[str, str]
) -> None:
    before = set(snapshots(backed_up))
    parameters = {"environment": "dev", "reason": "killed often"}
    killing.kill_everywhere(FLOW, parameters, backed_up_environment)
    (name,) = set(snapshots(backed_up)) - before
    assert records(backed_up, name) == ["after.json.gz", "before.json.gz"]


def test_a_snapshot_that_fails_is_red(backed_up: BackedUp) -> None:
    fault = {"match": "rds:CreateDBSnapshot", "kind": "outcome", "code": "failed", "times": 1}
    httpx.post(f"{backed_up.lab['url']}/lab/faults", json=fault).raise_for_status()
    state = snapshot_database("dev", "will fail", return_state=True)  # type: ignore[call-overload]
    assert state.is_failed()
    assert "is 'failed', expected 'available'. Nothing was saved" in state.message


def test_a_full_account_is_told_and_nothing_is_made(backed_up: BackedUp) -> None:
    quotas, before = f"{backed_up.lab['url']}/lab/quotas", set(snapshots(backed_up))
    httpx.post(quotas, json={"ManualSnapshots": 1}).raise_for_status()
    try:
        state = snapshot_database("dev", "one too many", return_state=True)  # type: ignore[call-overload]
    finally:
        httpx.post(quotas, json={"ManualSnapshots": 100}).raise_for_status()
    assert state.is_failed()
    assert "as many manual snapshots as its quota allows" in state.message
    assert set(snapshots(backed_up)) == before


def test_a_dry_run_makes_nothing(backed_up: BackedUp) -> None:
    before = set(snapshots(backed_up))
    assert snapshot_database("dev", "only asking", dry_run=True).startswith(f"{DB}-only-asking-")
    assert set(snapshots(backed_up)) == before
