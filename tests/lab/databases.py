"""What the tests of RDS share: a request that every instance begins with, and questions to RDS and to PostgreSQL."""

import datetime
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg2
import pytest
from botocore.exceptions import ClientError

PASSWORD = "first-password"
PROMPT = {"Delay": 1, "MaxAttempts": 60}


def wait(rds: Any, name: str) -> dict[str, Any]:
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier=name, WaiterConfig=PROMPT)
    return describe(rds, name)


def describe(rds: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return found


def statuses_until(rds: Any, name: str, wanted: str, seconds: float = 40) -> list[str]:
    """Each status that `name` shows until `wanted`, once, in order."""
    seen: list[str] = []
    deadline = time.monotonic() + seconds
    while not seen or seen[-1] != wanted or len(seen) == 1:
        status = describe(rds, name)["DBInstanceStatus"]
        if not seen or seen[-1] != status:
            seen.append(status)
        assert time.monotonic() < deadline, seen
        time.sleep(0.03)
    return seen


def connect(rds: Any, name: str, password: str = PASSWORD, **more: Any) -> Any:
    endpoint = describe(rds, name)["Endpoint"]
    connection = psycopg2.connect(
        host=endpoint["Address"], port=endpoint["Port"], user="postgres", password=password, dbname="demo_db", **more
    )
    connection.autocommit = True
    return connection


def ask(rds: Any, name: str, statement: str, *values: Any, password: str = PASSWORD) -> Any:
    connection = connect(rds, name, password)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def refusal(call: Callable[..., Any], **asked: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**asked)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def messages(rds: Any, name: str) -> list[str]:
    events = rds.describe_events(SourceType="db-instance", SourceIdentifier=name)["Events"]
    return [event["Message"] for event in events]


def pid_of(lab: dict[str, Any], name: str) -> int:
    parts = httpx.get(f"{lab['url']}/lab/status", timeout=10).json()["parts"]
    return int(parts["RDS"][name]["pid"] or 0)


def window(hours: int) -> str:
    """An hour-long maintenance window that begins half an hour before `hours` from now."""
    start = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours, minutes=-30)
    return "-".join(f"{moment:%a:%H:%M}".lower() for moment in (start, start + datetime.timedelta(hours=1)))


def daily_window(hours: int) -> str:
    """The same for a backup window."""
    return "-".join(moment[4:] for moment in window(hours).split("-"))


REQUEST = {
    "Engine": "postgres",
    "EngineVersion": "15.3",
    "DBInstanceClass": "db.t3.micro",
    "AllocatedStorage": 20,
    "MasterUsername": "postgres",
    "MasterUserPassword": PASSWORD,
    "DBName": "demo_db",
    "BackupRetentionPeriod": 0,
    # Neither opens while a test runs, whatever time it is.
    "PreferredBackupWindow": daily_window(hours=6),
    "PreferredMaintenanceWindow": window(hours=12),
}
