"""Snapshots, restores and automated backups hold the very data of their moment; judged by boto3 and psycopg2."""

import datetime
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from botocore.exceptions import WaiterError

from tests.lab.databases import (
    PROMPT,
    REQUEST,
    ask,
    connect,
    describe,
    messages,
    pid_of,
    refusal,
    statuses_until,
    until,
    wait,
)

TAGS = [{"Key": "team", "Value": "shop"}]
OWN = [{"Key": "runbook:run-id", "Value": "7"}]
NOTHING_ASKED = {"BackupRetentionPeriod": 0}
# What a restore gives where the request is silent, whatever the source has.
SILENT = {
    "DBInstanceClass": "db.t3.small",
    "EngineVersion": "15.4",
    "AllocatedStorage": 30,
    "StorageType": "gp3",
    "MasterUsername": "postgres",
    "DBName": "demo_db",
    "StorageEncrypted": True,
    "PreferredBackupWindow": REQUEST["PreferredBackupWindow"],
    "MultiAZ": False,
    "DeletionProtection": False,
    "CopyTagsToSnapshot": False,
    "PubliclyAccessible": True,
    "PendingModifiedValues": {},
}


@dataclass(frozen=True)
class World:
    """The source of all restores, what was in it when, and the statuses that one of the restores went through."""

    network: dict[str, str]
    points: list[tuple[datetime.datetime, int]]
    written: list[tuple[int, float]]  # the rows that a client wrote during the snapshot, and when it knew of each
    creating: dict[str, Any]
    backing_up: str
    statuses: list[str]


@pytest.fixture(scope="module")
def world(quick_lab: dict[str, Any], rds: Any, quick_client: Callable[[str], Any]) -> World:
    network = make_network(rds, quick_client("ec2"))
    rds.create_db_instance(DBInstanceIdentifier="source", **source_request(network))
    rds.create_db_instance(DBInstanceIdentifier="plain", **REQUEST)
    rds.create_db_instance(DBInstanceIdentifier="daily", **{**REQUEST, "BackupRetentionPeriod": 1})
    for name in ("source", "plain", "daily"):
        wait(rds, name)
    rds.modify_db_instance(DBInstanceIdentifier="daily", PreferredBackupWindow=opening_soon())
    points = make_history(rds)
    written, creating, backing_up = snapshot_while_writing(quick_lab, rds)
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier="before-risk", TargetDBSnapshotIdentifier="copied", CopyTags=True)
    until(lambda: describe(rds, "source")["LatestRestorableTime"] >= points[1][0])
    to_moment(rds, "moment-0", RestoreTime=points[0][0])
    to_moment(rds, "moment-1", RestoreTime=points[1][0])
    wait_for_snapshot(rds, "copied")
    from_snapshot(rds, "told", "copied", **told(network), **NOTHING_ASKED)
    until(lambda: describe(rds, "source")["LatestRestorableTime"].timestamp() > written[-1][1])
    to_moment(rds, "latest", UseLatestRestorableTime=True)
    from_snapshot(rds, "silent")
    statuses = statuses_until(rds, "silent", "available")
    for name in ("moment-0", "moment-1", "told", "latest"):
        wait(rds, name)
    return World(network, points, written, creating, backing_up, statuses)


def make_network(rds: Any, ec2: Any) -> dict[str, str]:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    zones = (("10.9.1.0/24", "eu-north-1a"), ("10.9.2.0/24", "eu-north-1b"))
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for block, zone in zones
    ]
    rds.create_db_subnet_group(DBSubnetGroupName="own", DBSubnetGroupDescription="its own", SubnetIds=subnets)
    family = {"DBParameterGroupFamily": "postgres15", "Description": "its own"}
    rds.create_db_parameter_group(DBParameterGroupName="own", **family)
    few = {"ParameterName": "max_connections", "ParameterValue": "61", "ApplyMethod": "pending-reboot"}
    rds.modify_db_parameter_group(DBParameterGroupName="own", Parameters=[few])
    group = ec2.create_security_group(GroupName="own", Description="its own", VpcId=vpc)["GroupId"]
    return {"vpc": vpc, "group": group}


def told(network: dict[str, str]) -> dict[str, Any]:
    return {
        "DBSubnetGroupName": "own",
        "VpcSecurityGroupIds": [network["group"]],
        "DBParameterGroupName": "own",
        "MultiAZ": True,
        "DBInstanceClass": "db.t3.medium",
        "DeletionProtection": True,
        "CopyTagsToSnapshot": True,
        "PubliclyAccessible": False,
        "Tags": OWN,
    }


def source_request(network: dict[str, str]) -> dict[str, Any]:
    own = {"DBInstanceClass": "db.t3.small", "EngineVersion": "15.4", "AllocatedStorage": 30, "StorageType": "gp3"}
    kept = {"BackupRetentionPeriod": 7, "StorageEncrypted": True}
    return {**REQUEST, **told(network), **own, **kept, "Tags": TAGS}


def opening_soon() -> str:
    """A backup window that opens with the next minute."""
    start = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    return "-".join(f"{moment:%H:%M}" for moment in (start, start + datetime.timedelta(hours=1)))


def make_history(rds: Any) -> list[tuple[datetime.datetime, int]]:
    """Two moments, and how many orders there were at each; then half of them went by accident."""
    ask(rds, "source", "CREATE TABLE orders (id serial, batch int)")
    points = []
    for batch in (1, 2):
        ask(rds, "source", "INSERT INTO orders (batch) SELECT %s FROM generate_series(1, 100)", batch)
        points.append((ask(rds, "source", "SELECT clock_timestamp()")[0][0], 100 * batch))
    ask(rds, "source", "DELETE FROM orders WHERE batch = 1")
    return points


def snapshot_while_writing(lab: dict[str, Any], rds: Any) -> tuple[list[tuple[int, float]], dict[str, Any], str]:
    """The snapshot `before-risk`, taken while a client writes; how it looks at first, and the instance's status."""
    ask(rds, "source", "CREATE TABLE ticks (number int, at timestamptz DEFAULT clock_timestamp())")
    written: list[tuple[int, float]] = []
    enough = threading.Event()

    def write() -> None:
        with connect(rds, "source").cursor() as cursor:
            while not enough.is_set():
                cursor.execute("INSERT INTO ticks VALUES (%s)", (len(written),))
                written.append((len(written), time.time()))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with suspended(pid_of(lab, "source")):  # so that the backup is surely still under way
            rds.create_db_snapshot(DBSnapshotIdentifier="Before-Risk", DBInstanceIdentifier="source", Tags=OWN)
            until(lambda: describe(rds, "source")["DBInstanceStatus"] == "backing-up")
            creating = snapshot_of(rds, "before-risk")
            backing_up = describe(rds, "source")["DBInstanceStatus"]
        wait_for_snapshot(rds, "before-risk")
    finally:
        enough.set()
        writer.join()
    return written, creating, backing_up


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """A server that takes no new session meanwhile; those it has go on."""
    server = psutil.Process(pid)
    server.suspend()
    try:
        yield
    finally:
        server.resume()


def snapshot_of(rds: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
    return found


def snapshot_names(rds: Any, **asked: Any) -> list[str]:
    return sorted(each["DBSnapshotIdentifier"] for each in rds.describe_db_snapshots(**asked)["DBSnapshots"])


def wait_for_snapshot(rds: Any, name: str) -> dict[str, Any]:
    rds.get_waiter("db_snapshot_available").wait(DBSnapshotIdentifier=name, WaiterConfig=PROMPT)
    return snapshot_of(rds, name)


def to_moment(rds: Any, name: str, source: str = "source", **asked: Any) -> dict[str, Any]:
    if not any(key.startswith("Source") for key in asked):
        asked["SourceDBInstanceIdentifier"] = source
    answer = rds.restore_db_instance_to_point_in_time(TargetDBInstanceIdentifier=name, **NOTHING_ASKED, **asked)
    restored: dict[str, Any] = answer["DBInstance"]
    assert restored["DBInstanceStatus"] == "creating"
    return restored


def from_snapshot(rds: Any, name: str, snapshot: str = "before-risk", **asked: Any) -> dict[str, Any]:
    answer = rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=snapshot, **asked)
    restored: dict[str, Any] = answer["DBInstance"]
    assert restored["DBInstanceStatus"] == "creating"
    return restored


def orders(rds: Any, name: str) -> int:
    return int(ask(rds, name, "SELECT count(*) FROM orders")[0][0])


def test_every_moment_is_restored_exactly(rds: Any, world: World) -> None:
    batches = "SELECT batch, count(*) FROM orders GROUP BY batch ORDER BY batch"
    assert ask(rds, "moment-0", batches) == [(1, 100)]
    assert ask(rds, "moment-1", batches) == [(1, 100), (2, 100)]  # deleted since
    assert ask(rds, "latest", batches) == [(2, 100)]
    assert ask(rds, "latest", "SELECT count(*) FROM ticks") == [(len(world.written),)]


def test_a_snapshot_has_all_that_was_committed_before_its_moment_and_nothing_after(rds: Any, world: World) -> None:
    moment = snapshot_of(rds, "before-risk")["SnapshotCreateTime"]
    known_before = {number for number, at in world.written if at <= moment.timestamp()}
    assert 0 < len(known_before) < len(world.written)
    restored = {number for (number,) in ask(rds, "silent", "SELECT number FROM ticks")}
    assert known_before <= restored
    [(last,)] = ask(rds, "silent", "SELECT max(at) FROM ticks")
    assert last <= moment


def test_a_snapshot_is_creating_while_the_instance_is_backing_up(rds: Any, world: World) -> None:
    assert world.backing_up == "backing-up"
    assert world.creating["Status"] == "creating"
    assert world.creating["PercentProgress"] < 100
    assert "SnapshotCreateTime" not in world.creating
    after = snapshot_of(rds, "before-risk")
    assert (after["Status"], after["PercentProgress"]) == ("available", 100)
    assert after["OriginalSnapshotCreateTime"] == after["SnapshotCreateTime"]


def test_a_snapshot_tells_what_it_is_of(rds: Any, world: World) -> None:
    source, snapshot = describe(rds, "source"), snapshot_of(rds, "before-risk")
    for fact in ("DbiResourceId", "DBInstanceIdentifier", "Engine", "EngineVersion", "AllocatedStorage", "KmsKeyId"):
        assert snapshot[fact] == source[fact]
    assert (snapshot["SnapshotType"], snapshot["Encrypted"], snapshot["TagList"]) == ("manual", True, OWN)
    assert snapshot["VpcId"] == world.network["vpc"]
    [automated] = rds.describe_db_snapshots(DBInstanceIdentifier="source", SnapshotType="automated")["DBSnapshots"]
    assert automated["TagList"] == TAGS  # the source copies its tags where none are given
    assert snapshot_names(rds, DBInstanceIdentifier="source", SnapshotType="manual") == ["before-risk", "copied"]
    assert snapshot_names(rds, DbiResourceId=source["DbiResourceId"]) == sorted(
        ["before-risk", "copied", automated["DBSnapshotIdentifier"]]
    )
    assert refusal(rds.describe_db_snapshots, DBSnapshotIdentifier="none")[0] == "DBSnapshotNotFound"


def test_a_copied_snapshot_is_a_snapshot_of_its_own(rds: Any, world: World) -> None:
    original, copied = snapshot_of(rds, "before-risk"), snapshot_of(rds, "copied")
    assert copied["OriginalSnapshotCreateTime"] == original["OriginalSnapshotCreateTime"]
    assert copied["SourceDBSnapshotIdentifier"] == original["DBSnapshotArn"]
    assert (copied["TagList"], copied["Encrypted"]) == (OWN, True)
    assert ask(rds, "told", "SELECT max(at) FROM ticks") == ask(rds, "silent", "SELECT max(at) FROM ticks")


def test_a_restore_goes_through_its_states_and_is_backed_up_at_once(rds: Any, world: World) -> None:
    assert world.statuses == ["creating", "backing-up", "available"]
    assert messages(rds, "silent")[0] == "Restored from snapshot before-risk"
    assert describe(rds, "silent")["LatestRestorableTime"] > describe(rds, "silent")["InstanceCreateTime"]
    assert "LatestRestorableTime" not in describe(rds, "moment-0")


def test_a_silent_restore_gets_what_aws_chooses(rds: Any, world: World) -> None:
    for name in ("silent", "latest"):
        restored = describe(rds, name)
        assert {fact: restored[fact] for fact in SILENT} == SILENT
        assert restored["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres15"
        assert restored["DBSubnetGroup"]["DBSubnetGroupName"] == "default"
        assert restored["DBSubnetGroup"]["VpcId"] != world.network["vpc"]
        assert restored["VpcSecurityGroups"][0]["VpcSecurityGroupId"] != world.network["group"]
    assert describe(rds, "silent")["BackupRetentionPeriod"] == 7
    assert describe(rds, "silent")["TagList"] == TAGS  # of the snapshot's source; a point in time has none
    assert describe(rds, "latest")["TagList"] == []


def test_a_restore_gets_what_it_is_told(rds: Any, world: World) -> None:
    restored, asked = describe(rds, "told"), told(world.network)
    for fact in ("MultiAZ", "DBInstanceClass", "DeletionProtection", "CopyTagsToSnapshot", "PubliclyAccessible"):
        assert restored[fact] == asked[fact]
    assert restored["DBSubnetGroup"]["DBSubnetGroupName"] == "own"
    assert [each["VpcSecurityGroupId"] for each in restored["VpcSecurityGroups"]] == [world.network["group"]]
    assert restored["TagList"] == OWN
    assert restored["BackupRetentionPeriod"] == 0
    assert restored["DBParameterGroups"] == [{"DBParameterGroupName": "own", "ParameterApplyStatus": "in-sync"}]
    assert ask(rds, "told", "SHOW max_connections") == [("61",)]


def test_a_restored_instance_goes_its_own_way(rds: Any, world: World) -> None:
    assert ask(rds, "silent", "SELECT timeline_id FROM pg_control_checkpoint()") == [(2,)]
    assert describe(rds, "silent")["Endpoint"]["Address"] != describe(rds, "source")["Endpoint"]["Address"]
    assert describe(rds, "silent")["DbiResourceId"] != describe(rds, "source")["DbiResourceId"]
    ask(rds, "silent", "DELETE FROM orders")
    assert orders(rds, "source") == 100
    assert orders(rds, "silent") == 0


def test_the_latest_restorable_time_goes_on_while_nothing_is_written(rds: Any, world: World) -> None:
    before = describe(rds, "source")["LatestRestorableTime"]
    until(lambda: describe(rds, "source")["LatestRestorableTime"] > before)
    [backup] = rds.describe_db_instance_automated_backups(DBInstanceIdentifier="source")["DBInstanceAutomatedBackups"]
    assert backup["Status"] == "active"
    assert backup["RestoreWindow"]["EarliestTime"] < world.points[0][0] < before < backup["RestoreWindow"]["LatestTime"]


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"DBInstanceIdentifier": "source"}, "DBInstanceAlreadyExists", "already exists"),
        ({"DBSnapshotIdentifier": "none"}, "DBSnapshotNotFound", "none"),
        ({"DBSubnetGroupName": "none"}, "DBSubnetGroupNotFoundFault", "none"),
        ({"DBParameterGroupName": "none"}, "DBParameterGroupNotFound", "none"),
        ({"DBInstanceClass": "db.nonsense.tiny"}, "InvalidParameterValue", "Invalid DB Instance class"),
        ({"AllocatedStorage": 20}, "InvalidParameterValue", "can't be less than the source"),
        ({"DBName": "other"}, "InvalidParameterValue", "DBName must be null"),
        ({"Engine": "mysql"}, "InvalidParameterCombination", "mysql"),
        ({"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidParameterValue", "sg-0123456789abcdef0"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue", "retention period"),
        ({"MultiAZ": True, "AvailabilityZone": "eu-north-1b"}, "InvalidParameterCombination", "Multi-AZ"),
    ],
)
def test_impossible_restores_are_refused_and_leave_nothing(
    rds: Any, world: World, changed: dict[str, Any], code: str, words: str
) -> None:
    before = len(rds.describe_db_instances()["DBInstances"])
    asked = {"DBInstanceIdentifier": "impossible", "DBSnapshotIdentifier": "before-risk", **changed}
    refused = refusal(rds.restore_db_instance_from_db_snapshot, **asked)
    assert refused[0] == code
    assert words in refused[1]
    assert len(rds.describe_db_instances()["DBInstances"]) == before


def test_a_security_group_of_another_vpc_is_refused(rds: Any, world: World) -> None:
    asked = {"DBInstanceIdentifier": "impossible", "DBSnapshotIdentifier": "before-risk"}
    refused = refusal(rds.restore_db_instance_from_db_snapshot, **asked, VpcSecurityGroupIds=[world.network["group"]])
    assert refused[0] == "InvalidParameterCombination"
    assert "are in different VPCs" in refused[1]


def test_moments_out_of_reach_are_refused(rds: Any, world: World) -> None:
    def refused(**asked: Any) -> tuple[str, str]:
        asked = {"TargetDBInstanceIdentifier": "impossible", **asked}
        return refusal(rds.restore_db_instance_to_point_in_time, **asked)

    source, day = {"SourceDBInstanceIdentifier": "source"}, datetime.timedelta(days=1)
    first = world.points[0][0]
    too_late = refused(**source, RestoreTime=first + day)
    assert (too_late[0], "cannot be restored to a time later than" in too_late[1]) == ("InvalidParameterValue", True)
    too_early = refused(**source, RestoreTime=first - day)
    assert (too_early[0], "unavailable prior to that time" in too_early[1]) == ("InvalidParameterValue", True)
    expired = refused(**source, RestoreTime=first - 8 * day)
    assert (expired[0], "retention period is set to 7 days" in expired[1]) == ("InvalidParameterValue", True)
    both = refused(**source, RestoreTime=first, UseLatestRestorableTime=True)
    assert both[0] == refused(**source)[0] == refused(UseLatestRestorableTime=True)[0] == "InvalidParameterCombination"
    latest = {"UseLatestRestorableTime": True}
    assert refused(SourceDBInstanceIdentifier="none", **latest)[0] == "DBInstanceNotFound"
    assert refused(SourceDbiResourceId="db-NONE", **latest)[0] == "DBInstanceAutomatedBackupNotFound"
    assert refused(SourceDBInstanceIdentifier="plain", **latest)[0] == "PointInTimeRestoreNotEnabled"


def test_automated_backups_begin_and_end_with_the_retention_period(rds: Any, world: World) -> None:
    def retain(days: int) -> None:
        rds.modify_db_instance(DBInstanceIdentifier="plain", BackupRetentionPeriod=days, ApplyImmediately=True)
        until(lambda: not describe(rds, "plain")["PendingModifiedValues"])
        wait(rds, "plain")

    automated = {"DBInstanceIdentifier": "plain", "SnapshotType": "automated"}
    assert snapshot_names(rds, **automated) == []
    retain(3)
    ask(rds, "plain", "CREATE TABLE orders (id int)")
    written = ask(rds, "plain", "SELECT clock_timestamp()")[0][0]
    until(lambda: describe(rds, "plain")["LatestRestorableTime"] > written)
    assert len(snapshot_names(rds, **automated)) == 1
    retain(0)
    assert snapshot_names(rds, **automated) == []
    assert "LatestRestorableTime" not in describe(rds, "plain")
    assert refusal(rds.describe_db_instance_automated_backups, DBInstanceIdentifier="plain")[0] == (
        "DBInstanceAutomatedBackupNotFound"
    )


def test_a_server_that_dies_during_a_snapshot_fails_the_snapshot_and_comes_back(
    rds: Any, world: World, quick_lab: dict[str, Any]
) -> None:
    server = psutil.Process(pid_of(quick_lab, "plain"))
    server.suspend()  # so that the backup is surely still under way
    rds.create_db_snapshot(DBSnapshotIdentifier="broken", DBInstanceIdentifier="plain")
    named = {"DBSnapshotIdentifier": "broken"}
    assert refusal(rds.delete_db_snapshot, **named)[0] == "InvalidDBSnapshotState"
    assert refusal(rds.create_db_snapshot, **named, DBInstanceIdentifier="source")[0] == "DBSnapshotAlreadyExists"
    second = {"DBSnapshotIdentifier": "second", "DBInstanceIdentifier": "plain"}
    assert refusal(rds.create_db_snapshot, **second)[0] == "InvalidDBInstanceState"
    server.kill()
    with pytest.raises(WaiterError, match="failed"):
        rds.get_waiter("db_snapshot_available").wait(**named, WaiterConfig=PROMPT)
    until(lambda: "Recovery of the DB instance is complete." in messages(rds, "plain"))
    restore = {"DBInstanceIdentifier": "impossible", **named}
    assert refusal(rds.restore_db_instance_from_db_snapshot, **restore)[0] == "InvalidDBSnapshotState"
    rds.delete_db_snapshot(**named)
    rds.get_waiter("db_snapshot_deleted").wait(**named, WaiterConfig=PROMPT)
    assert orders(rds, "plain") == 0


def plan(quick_lab: dict[str, Any], operation: str, code: str) -> httpx.Response:
    fault = {"match": f"rds:{operation}", "kind": "outcome", "code": code, "times": 1}
    return httpx.post(f"{quick_lab['url']}/lab/faults", json=fault)


def test_planned_failures_look_as_they_do_on_aws(rds: Any, world: World, quick_lab: dict[str, Any]) -> None:
    for code in ("incompatible-restore", "failed", "never"):
        plan(quick_lab, "RestoreDBInstanceFromDBSnapshot", code)
        from_snapshot(rds, f"ends-{code}")
    assert plan(quick_lab, "CreateDBSnapshot", "Throttling").status_code == 400
    plan(quick_lab, "CreateDBSnapshot", "failed")
    rds.create_db_snapshot(DBSnapshotIdentifier="planned", DBInstanceIdentifier="plain")
    with pytest.raises(WaiterError, match="incompatible-restore"):
        rds.get_waiter("db_instance_available").wait(
            DBInstanceIdentifier="ends-incompatible-restore", WaiterConfig=PROMPT
        )
    until(lambda: describe(rds, "ends-failed")["DBInstanceStatus"] == "failed")
    until(lambda: snapshot_of(rds, "planned")["Status"] == "failed")
    assert describe(rds, "ends-never")["DBInstanceStatus"] == "creating"
    for code in ("incompatible-restore", "failed", "never"):
        rds.delete_db_instance(DBInstanceIdentifier=f"ends-{code}", SkipFinalSnapshot=True)
    for code in ("incompatible-restore", "failed", "never"):
        rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier=f"ends-{code}", WaiterConfig=PROMPT)


def test_quotas_are_aws_defaults_and_can_be_reached(rds: Any, world: World, quick_lab: dict[str, Any]) -> None:
    def quotas() -> dict[str, tuple[int, int]]:
        found = rds.describe_account_attributes()["AccountQuotas"]
        return {each["AccountQuotaName"]: (each["Used"], each["Max"]) for each in found}

    instances, snapshots = quotas()["DBInstances"], quotas()["ManualSnapshots"]
    assert (instances[1], snapshots[1]) == (40, 100)
    page = f"{quick_lab['url']}/lab/quotas"
    try:
        httpx.post(page, json={"DBInstances": instances[0], "ManualSnapshots": snapshots[0]}).raise_for_status()
        another = {"DBInstanceIdentifier": "another", "DBSnapshotIdentifier": "before-risk"}
        assert refusal(rds.restore_db_instance_from_db_snapshot, **another)[0] == "InstanceQuotaExceeded"
        one_more = {"DBSnapshotIdentifier": "one-more", "DBInstanceIdentifier": "plain"}
        refused = refusal(rds.create_db_snapshot, **one_more)
        assert refused == ("SnapshotQuotaExceeded", f"Cannot create more than {snapshots[0]} manual snapshots")
    finally:
        httpx.post(page, json={"DBInstances": 40, "ManualSnapshots": 100}).raise_for_status()


def test_what_a_deleted_instance_leaves_can_be_restored(rds: Any, world: World) -> None:
    ask(rds, "source", "DELETE FROM orders WHERE id % 2 = 0")
    rds.modify_db_instance(DBInstanceIdentifier="source", DeletionProtection=False)
    resource = describe(rds, "source")["DbiResourceId"]
    rds.delete_db_instance(
        DBInstanceIdentifier="source", FinalDBSnapshotIdentifier="final", DeleteAutomatedBackups=False
    )
    to_moment(rds, "from-restored", "silent", UseLatestRestorableTime=True)
    rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier="source", WaiterConfig=PROMPT)
    assert snapshot_of(rds, "final")["Status"] == "available"
    from_snapshot(rds, "from-final", "final", **NOTHING_ASKED)
    retained = {"Filters": [{"Name": "status", "Values": ["retained"]}]}
    [backup] = rds.describe_db_instance_automated_backups(**retained)["DBInstanceAutomatedBackups"]
    assert (backup["DbiResourceId"], backup["DBInstanceIdentifier"]) == (resource, "source")
    to_moment(rds, "from-resource", SourceDbiResourceId=resource, RestoreTime=world.points[1][0])
    arn = backup["DBInstanceAutomatedBackupsArn"]
    to_moment(rds, "from-arn", SourceDBInstanceAutomatedBackupsArn=arn, UseLatestRestorableTime=True)
    expected = {"from-restored": 0, "from-final": 50, "from-resource": 200, "from-arn": 50}
    for name in expected:
        wait(rds, name)
    assert {name: orders(rds, name) for name in expected} == expected
    rds.delete_db_instance_automated_backup(DbiResourceId=resource)
    assert rds.describe_db_instance_automated_backups(**retained)["DBInstanceAutomatedBackups"] == []
    assert snapshot_names(rds, DbiResourceId=resource) == ["before-risk", "copied", "final"]


def test_automated_backups_go_with_their_instance_by_default(rds: Any, world: World) -> None:
    resource = describe(rds, "silent")["DbiResourceId"]
    assert len(snapshot_names(rds, DbiResourceId=resource, SnapshotType="automated")) == 1
    rds.delete_db_instance(DBInstanceIdentifier="silent", SkipFinalSnapshot=True)
    rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier="silent", WaiterConfig=PROMPT)
    assert snapshot_names(rds, DbiResourceId=resource) == []
    asked = {"TargetDBInstanceIdentifier": "impossible", "SourceDbiResourceId": resource}
    refused = refusal(rds.restore_db_instance_to_point_in_time, **asked, UseLatestRestorableTime=True)
    assert refused[0] == "DBInstanceAutomatedBackupNotFound"


def test_a_backup_is_made_when_the_backup_window_opens(rds: Any, world: World) -> None:
    finished = "Finished DB instance backup"
    until(lambda: messages(rds, "daily").count(finished) == 2, seconds=75)
    wait(rds, "daily")
    [backup] = rds.describe_db_instance_automated_backups(DBInstanceIdentifier="daily")["DBInstanceAutomatedBackups"]
    assert backup["Status"] == "active"
    assert len(snapshot_names(rds, DBInstanceIdentifier="daily", SnapshotType="automated")) == 2


def test_a_reset_ends_every_backup_and_restore(rds: Any, world: World, quick_lab: dict[str, Any]) -> None:
    from_snapshot(rds, "unfinished", "copied")
    rds.create_db_snapshot(DBSnapshotIdentifier="unfinished", DBInstanceIdentifier="plain")
    httpx.post(f"{quick_lab['url']}/lab/reset", timeout=60).raise_for_status()
    assert rds.describe_db_instances()["DBInstances"] == rds.describe_db_snapshots()["DBSnapshots"] == []
    assert rds.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"] == []
    family = psutil.Process(quick_lab["pid"]).children(recursive=True)
    assert [each for each in family if each.name() in ("postgres", "pg_basebackup")] == []
    left = [each.name for each in Path(quick_lab["home"]).glob("rds*/*") if each.name != "template"]
    assert left == []
