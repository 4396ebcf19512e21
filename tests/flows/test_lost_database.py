"""A database comes back from its newest backup, and one that is not what its backup held is not taken for it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg2
import pytest

from tasks import lost_database, rds
from tasks.lost_database import RESTORED_FROM, RESTORING_FROM, Backup
from tasks.rds import DBInstance
from tasks.secretsmanager import make_password
from tasks.verdict import Verdict
from tests.backed_up import DB, WAIT, BackedUp
from tests.stack import NAME

COPY = f"{NAME}-lost"
pytestmark = pytest.mark.lab


@pytest.fixture
def wanted(backed_up: BackedUp) -> Iterator[dict[str, Any]]:
    """What Terraform's plan would say, under a name that leaves the other tests their database."""
    yield {
        "identifier": COPY,
        "instance_class": "db.t3.micro",
        "db_subnet_group_name": DB,
        "vpc_security_group_ids": [backed_up.production.security_group],
        "parameter_group_name": f"{NAME}-pg15",
        "port": 5432,
        "storage_type": "gp3",
        "multi_az": False,
        "publicly_accessible": False,
        "enabled_cloudwatch_logs_exports": ["postgresql"],
        "auto_minor_version_upgrade": False,
        "backup_retention_period": 0,
        "backup_window": "00:30-01:30",
        "copy_tags_to_snapshot": True,
        "deletion_protection": False,
        "max_allocated_storage": 100,
        "tags_all": {"Environment": "dev"},
    }
    client = backed_up.client("rds")
    client.delete_db_instance(DBInstanceIdentifier=COPY, SkipFinalSnapshot=True)
    client.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier=COPY, WaiterConfig=WAIT)


def restore(backup: Backup, wanted: dict[str, Any]) -> DBInstance:
    for _ in range(2):  # asked twice, there is one
        lost_database.begin_restore.fn(backup, wanted)
    return lost_database.wait_until_restored.fn(COPY)


def test_a_snapshot_s_every_row_is_compared_before_it_is_accepted_and_a_changed_one_is_named(
    backed_up: BackedUp, wanted: dict[str, Any]
) -> None:
    backups = lost_database.list_backups.fn(DB)
    assert {one.is_snapshot for one in backups} == {True, False}
    (backup,) = (one for one in backups if one.id == backed_up.snapshot)
    db = restore(backup, wanted)
    assert db.tags[RESTORING_FROM] == backup.mark
    assert lost_database.choose_backup(COPY, db, backups) == backup
    password = make_password()
    rds.change_master_password(COPY, password)

    def judge() -> dict[str, Verdict]:
        found = lost_database.judge.fn(replace(db, id=DB), password, backup)
        return {one.layer[:2]: one for one in found}

    assert {layer: one.reasons for layer, one in judge().items()} == {"L1": (), "L2": (), "L3": ()}
    address = {"host": db.address, "port": db.settings.port, "password": password.get_secret_value()}
    opened = psycopg2.connect(user="postgres", dbname="demo_db", **address)
    with opened, opened.cursor() as sql:
        sql.execute("update items set price = price + 1 where id = 7")
    opened.close()
    assert any("items" in reason for reason in judge()["L3"].reasons)

    lost_database.accept.fn(db, backup)
    accepted = rds.describe_db_instance.fn(COPY)
    assert (RESTORING_FROM in accepted.tags, accepted.tags[RESTORED_FROM]) == (False, backup.mark)
    assert lost_database.choose_backup(COPY, accepted, backups) is None
