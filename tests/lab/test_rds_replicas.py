"""Automated backups in another Region hold the very data, a little later; judged by boto3 and psycopg2."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.databases import PROMPT, REQUEST, ask, describe, refusal, until, wait

THERE = "eu-west-1"
ACCOUNT = "123456789012"
ARN = f"arn:aws:rds:eu-north-1:{ACCOUNT}:db:"
UNKNOWN_KEY = f"arn:aws:kms:{THERE}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class World:
    """A source and its replica; what the replication looked like at first, and a moment with its number of rows."""

    key: str
    pending: dict[str, Any]
    arn: str
    point: datetime.datetime
    restored: dict[str, Any]


@pytest.fixture(scope="module")
def west(quick_client: Callable[..., Any]) -> Any:
    return quick_client("rds", region_name=THERE)


@pytest.fixture(scope="module")
def kms(quick_client: Callable[..., Any]) -> Any:
    return quick_client("kms", region_name=THERE)


@pytest.fixture(scope="module")
def world(rds: Any, west: Any, kms: Any) -> World:
    """Rows before the replication began, after it, and behind the moment that is restored."""
    key = kms.create_key()["KeyMetadata"]["Arn"]
    rds.create_db_instance(
        DBInstanceIdentifier="source", **{**REQUEST, "BackupRetentionPeriod": 7, "StorageEncrypted": True}
    )
    rds.create_db_instance(DBInstanceIdentifier="plain", **REQUEST)
    wait(rds, "source")
    ask(rds, "source", "CREATE TABLE orders AS SELECT generate_series(1, 100) AS number")
    asked = {"SourceDBInstanceArn": f"{ARN}source", "KmsKeyId": key, "BackupRetentionPeriod": 14}
    pending = west.start_db_instance_automated_backups_replication(**asked)["DBInstanceAutomatedBackup"]
    arn = pending["DBInstanceAutomatedBackupsArn"]
    ask(rds, "source", "INSERT INTO orders SELECT generate_series(101, 200)")
    [(point,)] = ask(rds, "source", "SELECT clock_timestamp()")
    ask(rds, "source", "DELETE FROM orders WHERE number <= 150")
    until(lambda: replica(west, arn)["Status"] == "replicating")
    until(lambda: replica(west, arn)["RestoreWindow"]["LatestTime"] > point)
    restore(west, arn, "source", RestoreTime=point)  # under the very name that it has in its own Region
    return World(key, pending, arn, point, wait(west, "source"))


def replica(west: Any, arn: str) -> dict[str, Any]:
    [found] = west.describe_db_instance_automated_backups(DBInstanceAutomatedBackupsArn=arn)[
        "DBInstanceAutomatedBackups"
    ]
    return dict(found)


def restore(west: Any, arn: str, name: str, **when: Any) -> None:
    asked = {"SourceDBInstanceAutomatedBackupsArn": arn, "TargetDBInstanceIdentifier": name}
    west.restore_db_instance_to_point_in_time(**asked, BackupRetentionPeriod=0, **when)


def count(rds: Any, name: str) -> int:
    return int(ask(rds, name, "SELECT count(*) FROM orders")[0][0])


def test_a_replication_is_pending_until_the_first_backup_has_arrived(world: World) -> None:
    assert (world.pending["Status"], world.pending["RestoreWindow"]) == ("pending", {})
    assert world.pending["DBInstanceAutomatedBackupsArn"].startswith(f"arn:aws:rds:{THERE}:{ACCOUNT}:auto-backup:ab-")


def test_a_replica_tells_its_source_and_what_is_its_own(rds: Any, west: Any, world: World) -> None:
    found, source = replica(west, world.arn), describe(rds, "source")
    assert (found["DBInstanceArn"], found["Region"]) == (f"{ARN}source", "eu-north-1")
    assert found["DbiResourceId"] == source["DbiResourceId"]
    assert (found["KmsKeyId"], found["Encrypted"], found["BackupRetentionPeriod"]) == (world.key, True, 14)
    assert "VpcId" not in found
    assert source["BackupRetentionPeriod"] == 7


def test_the_source_tells_where_it_is_replicated_to(rds: Any, world: World) -> None:
    told = [{"DBInstanceAutomatedBackupsArn": world.arn}]
    assert describe(rds, "source")["DBInstanceAutomatedBackupsReplications"] == told
    assert describe(rds, "plain").get("DBInstanceAutomatedBackupsReplications", []) == []
    [own] = rds.describe_db_instance_automated_backups(DBInstanceIdentifier="source")["DBInstanceAutomatedBackups"]
    assert own["DBInstanceAutomatedBackupsReplications"] == told
    assert own["DBInstanceAutomatedBackupsArn"] != world.arn


def test_the_replica_follows_and_is_behind(rds: Any, west: Any, world: World) -> None:
    before = replica(west, world.arn)["RestoreWindow"]["LatestTime"]
    until(lambda: replica(west, world.arn)["RestoreWindow"]["LatestTime"] > before)
    there = replica(west, world.arn)["RestoreWindow"]["LatestTime"]
    assert there <= describe(rds, "source")["LatestRestorableTime"]


def test_a_restore_in_the_other_region_has_the_data_of_its_moment(rds: Any, west: Any, world: World) -> None:
    assert count(west, "source") == 200  # those that were deleted since are there
    assert count(rds, "source") == 50
    assert world.restored["DBInstanceArn"] == f"arn:aws:rds:{THERE}:{ACCOUNT}:db:source"
    assert world.restored["AvailabilityZone"].startswith(THERE)
    assert world.restored["KmsKeyId"] == world.key
    assert world.restored["DbiResourceId"] != replica(west, world.arn)["DbiResourceId"]


def test_each_region_knows_its_own_backups_only(rds: Any, west: Any, world: World) -> None:
    names = [
        [
            one["DBInstanceAutomatedBackupsArn"]
            for one in each.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
        ]
        for each in (rds, west)
    ]
    assert names[1] == [world.arn]
    assert world.arn not in names[0]
    asked = {"SourceDBInstanceAutomatedBackupsArn": world.arn, "TargetDBInstanceIdentifier": "impossible"}
    refused = refusal(rds.restore_db_instance_to_point_in_time, **asked, UseLatestRestorableTime=True)
    assert refused[0] == "DBInstanceAutomatedBackupNotFound"


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({}, "InvalidDBInstanceState", "already replicating"),
        ({"SourceDBInstanceArn": f"{ARN}none"}, "DBInstanceNotFound", "none"),
        ({"SourceDBInstanceArn": "source"}, "InvalidParameterValue", "not a valid DB instance ARN"),
        (
            {"SourceDBInstanceArn": f"arn:aws:rds:{THERE}:{ACCOUNT}:db:source"},
            "InvalidParameterValue",
            "current region",
        ),
        ({"SourceDBInstanceArn": f"{ARN}plain"}, "InvalidDBInstanceState", "not enabled"),
        ({"KmsKeyId": None}, "KMSKeyNotAccessibleFault", "[None]"),
        ({"KmsKeyId": UNKNOWN_KEY}, "KMSKeyNotAccessibleFault", UNKNOWN_KEY),
        ({"BackupRetentionPeriod": 0}, "InvalidParameterValue", "between 1 and 35"),
    ],
)
def test_impossible_replications_are_refused(
    west: Any, world: World, changed: dict[str, Any], code: str, words: str
) -> None:
    asked = {"SourceDBInstanceArn": f"{ARN}source", "KmsKeyId": world.key, **changed}
    refused = refusal(
        west.start_db_instance_automated_backups_replication, **{k: v for k, v in asked.items() if v is not None}
    )
    assert refused[0] == code
    assert words in refused[1]


def test_a_replica_that_is_in_use_is_not_deleted(west: Any, world: World) -> None:
    refused = refusal(west.delete_db_instance_automated_backup, DBInstanceAutomatedBackupsArn=world.arn)
    assert refused[0] == "InvalidDBInstanceAutomatedBackupState"


def test_a_stopped_replication_keeps_what_has_arrived_and_goes_on_with_the_same_key(
    rds: Any, west: Any, kms: Any, world: World
) -> None:
    west.stop_db_instance_automated_backups_replication(SourceDBInstanceArn=f"{ARN}source")
    stopped = replica(west, world.arn)
    assert stopped["Status"] == "retained"
    assert stopped["RestoreWindow"]["LatestTime"] > world.point
    assert describe(rds, "source").get("DBInstanceAutomatedBackupsReplications", []) == []
    again = refusal(west.stop_db_instance_automated_backups_replication, SourceDBInstanceArn=f"{ARN}source")
    assert again[0] == "InvalidDBInstanceState"
    assert "not replicating to the current region" in again[1]
    ask(rds, "source", "INSERT INTO orders SELECT generate_series(1001, 1010)")
    asked = {"SourceDBInstanceArn": f"{ARN}source", "KmsKeyId": kms.create_key()["KeyMetadata"]["Arn"]}
    other_key = refusal(west.start_db_instance_automated_backups_replication, **asked)
    assert other_key[0] == "InvalidDBInstanceAutomatedBackupState"
    west.start_db_instance_automated_backups_replication(**{**asked, "KmsKeyId": world.key})
    [(written,)] = ask(rds, "source", "SELECT clock_timestamp()")
    until(lambda: replica(west, world.arn)["RestoreWindow"]["LatestTime"] > written)
    assert replica(west, world.arn)["BackupRetentionPeriod"] == 7  # none was asked for


def test_without_its_key_a_replica_is_of_no_use_and_replicates_no_more(west: Any, kms: Any, world: World) -> None:
    kms.disable_key(KeyId=world.key.rpartition("/")[2])
    until(lambda: replica(west, world.arn)["Status"] == "retained")
    asked = {"SourceDBInstanceAutomatedBackupsArn": world.arn, "TargetDBInstanceIdentifier": "impossible"}
    refused = refusal(west.restore_db_instance_to_point_in_time, **asked, UseLatestRestorableTime=True)
    assert refused[0] == "KMSKeyNotAccessibleFault"
    kms.enable_key(KeyId=world.key.rpartition("/")[2])
    west.start_db_instance_automated_backups_replication(SourceDBInstanceArn=f"{ARN}source", KmsKeyId=world.key)
    assert replica(west, world.arn)["Status"] == "replicating"


def test_the_replica_outlives_the_source_and_its_backups(rds: Any, west: Any, world: World) -> None:
    rds.delete_db_instance(DBInstanceIdentifier="source", SkipFinalSnapshot=True, DeleteAutomatedBackups=True)
    rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier="source", WaiterConfig=PROMPT)
    until(lambda: replica(west, world.arn)["Status"] == "retained")
    restore(west, world.arn, "recovered", UseLatestRestorableTime=True)
    wait(west, "recovered")
    assert count(west, "recovered") == 60
    west.delete_db_instance_automated_backup(DBInstanceAutomatedBackupsArn=world.arn)
    assert west.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"] == []
