"""The replica of the backups: said to be there only where it is, and restored by the very command that is told."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tasks import backup_replica, health
from tasks.backup_replica import LAG_SECONDS, Replica
from tasks.environment import PROJECT, describe_environment
from tasks.errors import VerificationFailed
from tasks.finding import Attention
from tasks.inventory import find_existing
from tasks.terraform_plan import Creation
from tests.backed_up import DB, ITEMS, PASSWORD, WAIT, BackedUp

THERE = "eu-west-1"
PARAMETER = f"/{PROJECT}/dev/backup_replica_arn"
OWN = {"Project": PROJECT, "Environment": "dev", "ManagedBy": "terraform"}
DESCRIPTION = f"Replicated backups of the database of {PROJECT}-dev"
ALIAS = f"alias/{PROJECT}-dev-backup-replica"
NOW = datetime(2026, 11, 26, 21, 0, tzinfo=UTC)
GOOD = {
    "arn": f"arn:aws:rds:{THERE}:123456789012:auto-backup:ab-1",
    "resource_id": "db-1",
    "status": "replicating",
    "latest": NOW - timedelta(seconds=600),
    "retention_days": 7,
    "key": "arn:aws:kms:eu-west-1:123456789012:key/1",
}


@pytest.fixture
def wait_until() -> Callable[[Callable[[], Any]], Any]:
    def wait(condition: Callable[[], Any]) -> Any:
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        while not (found := condition()):
            assert datetime.now(UTC) < deadline
        return found

    return wait


@pytest.fixture
def replica(backed_up: BackedUp) -> Iterator[dict[str, str]]:
    """As Terraform makes it: a key in the other Region, the replication, and the output that tells of it."""
    kms, west = (backed_up.client(name, region_name=THERE) for name in ("kms", "rds"))
    tags = [{"TagKey": key, "TagValue": value} for key, value in OWN.items()]
    key = kms.create_key(Description=DESCRIPTION, Tags=tags)["KeyMetadata"]
    kms.create_alias(AliasName=ALIAS, TargetKeyId=key["KeyId"])
    source = backed_up.instance(DB)["DBInstanceArn"]
    started = west.start_db_instance_automated_backups_replication(SourceDBInstanceArn=source, KmsKeyId=key["Arn"])
    arn = started["DBInstanceAutomatedBackup"]["DBInstanceAutomatedBackupsArn"]
    backed_up.client("ssm").put_parameter(Name=PARAMETER, Value=arn, Type="String")
    yield {"arn": arn, "key": key["KeyId"], "source": source}
    backed_up.client("ssm").delete_parameter(Name=PARAMETER)
    west.stop_db_instance_automated_backups_replication(SourceDBInstanceArn=source)
    west.delete_db_instance_automated_backup(DBInstanceAutomatedBackupsArn=arn)


def found() -> tuple[str, str]:
    one = health.check_component.fn("backup replica", describe_environment.fn("dev"))
    return one.verdict, one.observed


def judged(**changed: Any) -> str:
    return backup_replica.judge(Replica(**{**GOOD, **changed}), "db-1", NOW)


def test_without_a_replica_that_is_said_and_not_green(backed_up: BackedUp) -> None:
    verdict, observed = found()
    assert verdict == "warn"
    assert observed.startswith("not enabled: whoever loses eu-north-1 loses the backups too")
    (line,) = backup_replica.tell.fn(describe_environment.fn("dev"), "db.t3.micro")
    assert line == observed


def test_a_replica_is_green_and_tells_how_far_behind_it_is() -> None:
    assert judged() == ("replicating in eu-west-1, restorable up to 2026-11-26 20:50:00 UTC, kept 7 days, 600 s behind")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"status": "retained"}, "expected 'replicating'"),
        ({"resource_id": "db-2"}, "expected the database that serves now, db-1"),
        ({"key": None}, "not encrypted"),
        ({"latest": NOW - timedelta(seconds=LAG_SECONDS + 1)}, "that is 1801 s ago, expected at most 1800 s"),
    ],
)
def test_a_replica_that_would_not_help_is_a_failure(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(VerificationFailed, match=words):
        judged(**changed)


def test_the_first_copy_is_waited_for_and_not_called_good() -> None:
    with pytest.raises(Attention, match="not restorable yet"):
        judged(status="pending", latest=None)


def test_the_replica_is_seen_found_for_a_lost_state_and_restored_by_the_command_that_is_told(
    backed_up: BackedUp, replica: dict[str, str], wait_until: Callable[..., Any]
) -> None:
    wait_until(lambda: found()[0] == "ok")
    observed = found()[1]
    assert observed.startswith(f"replicating in {THERE}, restorable up to ")
    assert find_existing(creations(replica["source"])) == {
        "key": replica["key"],
        "alias": ALIAS,
        "replication": replica["arn"],
    }
    *_, command = backup_replica.tell.fn(describe_environment.fn("dev"), "db.t3.micro")
    run_by_hand(command)
    west = backed_up.client("rds", region_name=THERE)
    west.get_waiter("db_instance_available").wait(DBInstanceIdentifier=DB, WaiterConfig=WAIT)
    (restored,) = west.describe_db_instances(DBInstanceIdentifier=DB)["DBInstances"]
    try:
        assert (restored["StorageEncrypted"], restored["KmsKeyId"].rpartition("/")[2]) == (True, replica["key"])
        assert rows(restored["Endpoint"]) == rows(backed_up.instance(DB)["Endpoint"]) == ITEMS
    finally:
        west.modify_db_instance(DBInstanceIdentifier=DB, DeletionProtection=False, ApplyImmediately=True)
        west.delete_db_instance(DBInstanceIdentifier=DB, SkipFinalSnapshot=True)
    west.stop_db_instance_automated_backups_replication(SourceDBInstanceArn=replica["source"])
    assert found()[0] == "fail"
    west.start_db_instance_automated_backups_replication(
        SourceDBInstanceArn=replica["source"], KmsKeyId=restored["KmsKeyId"]
    )


def creations(source: str) -> list[Creation]:
    """What a plan without a state would make."""
    return [
        Creation("key", "aws_kms_key", {"description": DESCRIPTION, "tags_all": OWN}),
        Creation("alias", "aws_kms_alias", {"name": ALIAS}),
        Creation("replication", "aws_db_instance_automated_backups_replication", {"source_db_instance_arn": source}),
    ]


def run_by_hand(command: str) -> None:
    aws, *words = shlex.split(command)
    program = str(Path(sys.executable).with_name(aws))
    done = subprocess.run([program, *words], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def rows(endpoint: dict[str, Any]) -> int:
    with (
        psycopg2.connect(
            host=endpoint["Address"], port=endpoint["Port"], user="postgres", password=PASSWORD, dbname="demo_db"
        ) as database,
        database.cursor() as sql,
    ):
        sql.execute("select count(*) from items")
        return int(sql.fetchall()[0][0])
