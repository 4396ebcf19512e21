"""RDS instances are real servers that live through AWS's states; judged by boto3, its waiters and psycopg2."""

import datetime
import errno
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psutil
import psycopg2
import pytest
from botocore.exceptions import ClientError

from tests.lab.databases import (
    PASSWORD,
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
    window,
)

MINUTE_SECONDS = 60 / 200  # of AWS's, in this lab


@pytest.fixture(scope="module")
def created(rds: Any) -> list[str]:
    """Several instances at once, and the statuses that the first of them went through."""
    group = {"DBParameterGroupName": "greedy", "DBParameterGroupFamily": "postgres15", "Description": "D05"}
    rds.create_db_parameter_group(**group)
    rds.create_db_parameter_group(**{**group, "DBParameterGroupName": "tuned", "Description": "dynamic and static"})
    rds.create_db_instance(DBInstanceIdentifier="demo", **{**REQUEST, "BackupRetentionPeriod": 7})
    rds.create_db_instance(DBInstanceIdentifier="standby", MultiAZ=True, **REQUEST)
    rds.create_db_instance(DBInstanceIdentifier="changing", DBParameterGroupName="greedy", **REQUEST)
    rds.create_db_instance(DBInstanceIdentifier="tuned", DBParameterGroupName="tuned", **REQUEST)
    statuses = statuses_until(rds, "demo", "available")
    for name in ("standby", "changing", "tuned"):
        wait(rds, name)
    return statuses


def test_an_instance_is_created_backed_up_and_then_available(rds: Any, created: list[str]) -> None:
    assert created == ["creating", "backing-up", "available"]
    demo = describe(rds, "demo")
    assert demo["LatestRestorableTime"] >= demo["InstanceCreateTime"]
    assert messages(rds, "demo") == ["DB instance created", "Backing up DB instance", "Finished DB instance backup"]
    snapshots = rds.describe_db_snapshots(DBInstanceIdentifier="demo", SnapshotType="automated")["DBSnapshots"]
    assert len(snapshots) == 1


def test_every_instance_has_its_own_address_and_resource_id(rds: Any, created: list[str]) -> None:
    instances = rds.describe_db_instances()["DBInstances"]
    assert len({each["DbiResourceId"] for each in instances}) == 4
    assert len({each["Endpoint"]["Address"] for each in instances}) == 4


def test_the_master_user_is_no_superuser_and_the_class_sets_the_limits(rds: Any, created: list[str]) -> None:
    ask(rds, "demo", "CREATE TABLE items (id int); INSERT INTO items SELECT generate_series(1, 100)")
    facts = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert ask(rds, "demo", facts) == [(False, True, True)]
    assert ask(rds, "demo", "SELECT pg_has_role('rds_superuser', 'member')") == [(True,)]
    shown = "SELECT current_setting('max_connections'), current_setting('shared_buffers')"
    assert ask(rds, "demo", shown) == [("112", "256MB")]


def test_encryption_is_forced_by_default(rds: Any, created: list[str]) -> None:
    assert connect(rds, "demo", sslmode="require").info.ssl_in_use
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        connect(rds, "demo", sslmode="disable")


def test_a_reboot_breaks_connections_keeps_data_and_shows_its_state(rds: Any, created: list[str]) -> None:
    open_one = connect(rds, "demo")
    assert rds.reboot_db_instance(DBInstanceIdentifier="demo")["DBInstance"]["DBInstanceStatus"] == "rebooting"
    assert refusal(rds.reboot_db_instance, DBInstanceIdentifier="demo")[0] == "InvalidDBInstanceState"
    assert statuses_until(rds, "demo", "available") == ["rebooting", "available"]
    with pytest.raises(psycopg2.OperationalError):
        open_one.cursor().execute("SELECT 1")
    assert ask(rds, "demo", "SELECT count(*) FROM items") == [(100,)]
    assert messages(rds, "demo")[-1] == "DB instance restarted"


def zones(rds: Any, name: str) -> tuple[str, str]:
    found = describe(rds, name)
    return found["AvailabilityZone"], found["SecondaryAvailabilityZone"]


def test_a_failover_serves_nobody_for_a_minute_swaps_the_zones_and_loses_no_commit(
    rds: Any, created: list[str]
) -> None:
    before = zones(rds, "standby")
    assert before[0] != before[1]
    ask(rds, "standby", "CREATE TABLE committed (n int); INSERT INTO committed VALUES (1)")
    open_one = connect(rds, "standby")
    rds.reboot_db_instance(DBInstanceIdentifier="standby", ForceFailover=True)
    until(lambda: is_closed(describe(rds, "standby")))
    closed = time.monotonic()
    assert zones(rds, "standby") == before
    assert statuses_until(rds, "standby", "available") == ["rebooting", "available"]
    assert time.monotonic() - closed > 0.5 * MINUTE_SECONDS
    with pytest.raises(psycopg2.OperationalError):
        open_one.cursor().execute("SELECT 1")
    assert ask(rds, "standby", "SELECT n FROM committed") == [(1,)]
    assert zones(rds, "standby") == before[::-1]
    assert messages(rds, "standby")[-4:] == [
        "Multi-AZ instance failover started.",
        "DB instance restarted",
        "The user requested a failover of the DB instance.",
        "Multi-AZ instance failover completed",
    ]


def test_a_single_az_instance_has_nothing_to_fail_over_to(rds: Any, created: list[str]) -> None:
    assert "SecondaryAvailabilityZone" not in describe(rds, "demo")
    code, _ = refusal(rds.reboot_db_instance, DBInstanceIdentifier="demo", ForceFailover=True)
    assert code == "InvalidParameterCombination"
    assert describe(rds, "demo")["DBInstanceStatus"] == "available"


def test_a_killed_primary_of_a_multi_az_instance_fails_over_by_itself(
    rds: Any, created: list[str], quick_lab: dict[str, Any]
) -> None:
    before = zones(rds, "standby")
    os.kill(pid_of(quick_lab, "standby"), signal.SIGKILL)
    until(lambda: zones(rds, "standby") == before[::-1])
    until(lambda: messages(rds, "standby")[-1] == "Multi-AZ instance failover completed")
    assert messages(rds, "standby")[-2] == "The primary host of the RDS Multi-AZ instance is unhealthy."
    assert ask(rds, "standby", "SELECT n FROM committed") == [(1,)]


def test_a_new_password_is_applied_a_little_later(rds: Any, created: list[str]) -> None:
    with closing(connect(rds, "standby")) as first:
        first.autocommit = False
        first.cursor().execute("ALTER ROLE postgres CONNECTION LIMIT -1")  # until it is closed, the role stays as it is
        answer = rds.modify_db_instance(DBInstanceIdentifier="standby", MasterUserPassword="second-password")
        assert answer["DBInstance"]["PendingModifiedValues"] == {"MasterUserPassword": "****"}
        assert ask(rds, "standby", "SELECT 1", password=PASSWORD) == [(1,)]
    assert statuses_until(rds, "standby", "available")[-2:] == ["resetting-master-credentials", "available"]
    assert describe(rds, "standby")["PendingModifiedValues"] == {}
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(rds, "standby", PASSWORD)
    assert ask(rds, "standby", "SELECT 1", password="second-password") == [(1,)]


def test_a_killed_server_comes_back_by_itself(rds: Any, created: list[str], quick_lab: dict[str, Any]) -> None:
    server = psutil.Process(pid_of(quick_lab, "demo"))
    os.kill(server.pid, signal.SIGKILL)
    psutil.wait_procs([server], timeout=5)
    recovered = "Recovery of the DB instance is complete."
    until(lambda: recovered in messages(rds, "demo"))
    assert describe(rds, "demo")["DBInstanceStatus"] == "available"
    assert pid_of(quick_lab, "demo") not in (0, server.pid)
    assert ask(rds, "demo", "SELECT count(*) FROM items") == [(100,)]


def test_stopped_means_that_nothing_listens(rds: Any, created: list[str]) -> None:
    rds.stop_db_instance(DBInstanceIdentifier="standby")
    assert statuses_until(rds, "standby", "stopped") == ["stopping", "stopped"]
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        connect(rds, "standby")
    for call in (rds.stop_db_instance, rds.reboot_db_instance):
        assert refusal(call, DBInstanceIdentifier="standby")[0] == "InvalidDBInstanceState"
    rds.start_db_instance(DBInstanceIdentifier="standby")
    assert statuses_until(rds, "standby", "available") == ["starting", "available"]
    assert ask(rds, "standby", "SELECT 1", password="second-password") == [(1,)]


def test_what_is_not_applied_at_once_waits_for_the_maintenance_window(rds: Any, created: list[str]) -> None:
    away = window(hours=12)
    rds.modify_db_instance(DBInstanceIdentifier="tuned", PreferredMaintenanceWindow=away, DeletionProtection=True)
    asked = {"DBInstanceClass": "db.t3.small", "EngineVersion": "15.4"}
    pending = rds.modify_db_instance(DBInstanceIdentifier="tuned", **asked)["DBInstance"]
    assert pending["PendingModifiedValues"] == asked
    assert (pending["DBInstanceClass"], pending["DeletionProtection"]) == ("db.t3.micro", True)
    time.sleep(0.5)
    assert describe(rds, "tuned")["DBInstanceStatus"] == "available"
    rds.modify_db_instance(DBInstanceIdentifier="tuned", PreferredMaintenanceWindow=window(hours=0))
    assert statuses_until(rds, "tuned", "available")[-3:] == ["modifying", "upgrading", "available"]
    after = describe(rds, "tuned")
    assert (after["DBInstanceClass"], after["EngineVersion"]) == ("db.t3.small", "15.4")
    assert after["PendingModifiedValues"] == {}
    assert ask(rds, "tuned", "SHOW max_connections") == [("225",)]


def parameter(name: str, value: str, method: str = "immediate") -> list[dict[str, str]]:
    return [{"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}]


def apply_status(rds: Any, name: str) -> str:
    return str(describe(rds, name)["DBParameterGroups"][0]["ParameterApplyStatus"])


def test_dynamic_parameters_apply_by_themselves_and_static_ones_at_a_reboot(rds: Any, created: list[str]) -> None:
    group = {"DBParameterGroupName": "tuned"}
    rds.modify_db_parameter_group(**group, Parameters=parameter("log_min_duration_statement", "250"))
    assert apply_status(rds, "tuned") == "applying"
    rds.modify_db_instance(DBInstanceIdentifier="tuned", CopyTagsToSnapshot=True)  # Terraform does both in a breath
    until(lambda: apply_status(rds, "tuned") == "in-sync")
    until(lambda: ask(rds, "tuned", "SHOW log_min_duration_statement") == [("250ms",)])
    rds.modify_db_parameter_group(**group, Parameters=parameter("max_connections", "50", "pending-reboot"))
    assert apply_status(rds, "tuned") == "pending-reboot"
    assert ask(rds, "tuned", "SHOW max_connections") != [("50",)]
    rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    wait(rds, "tuned")
    assert apply_status(rds, "tuned") == "in-sync"
    assert ask(rds, "tuned", "SHOW max_connections") == [("50",)]


def test_described_parameters_tell_where_their_values_come_from(rds: Any, created: list[str]) -> None:
    pages = rds.get_paginator("describe_db_parameters")
    found = pages.paginate(DBParameterGroupName="tuned").search("Parameters[]")
    every = {each["ParameterName"]: each for each in found}
    assert len(every) > 250
    assert every["max_connections"]["Source"] == "user"
    assert every["max_connections"]["ApplyType"] == "static"
    assert every["shared_buffers"]["ParameterValue"] == "{DBInstanceClassMemory/32768}"
    assert every["work_mem"]["Source"] == "engine-default"
    only = rds.describe_db_parameters(DBParameterGroupName="tuned", Source="user")["Parameters"]
    assert {each["ParameterName"] for each in only} == {"max_connections", "log_min_duration_statement"}


@pytest.mark.parametrize(
    ("name", "value", "method", "code", "words"),
    [
        ("no_such_parameter", "1", "immediate", "InvalidParameterValue", "Could not find parameter with name"),
        ("max_connections", "3", "pending-reboot", "InvalidParameterValue", "allowed values are: 6-262143"),
        ("max_connections", "many", "pending-reboot", "InvalidParameterValue", "Invalid parameter value: many"),
        ("max_connections", "{Nonsense/2}", "pending-reboot", "InvalidParameterValue", "Invalid parameter value"),
        ("max_connections", "50", "immediate", "InvalidParameterCombination", "static parameter"),
        ("log_connections", "on", "immediate", "InvalidParameterValue", "allowed values are: 0,1"),
        ("archive_command", "true", "immediate", "InvalidParameterValue", "cannot be modified"),
    ],
)
def test_parameters_that_rds_would_not_take_are_refused(
    rds: Any, created: list[str], name: str, value: str, method: str, code: str, words: str
) -> None:
    refused = refusal(
        rds.modify_db_parameter_group, DBParameterGroupName="tuned", Parameters=parameter(name, value, method)
    )
    assert refused[0] == code
    assert words in refused[1]


def test_shared_buffers_of_twice_the_memory_stop_the_server_until_they_are_corrected(
    rds: Any, created: list[str]
) -> None:
    greedy = parameter("shared_buffers", "{DBInstanceClassMemory/4096}", "pending-reboot")
    rds.modify_db_parameter_group(DBParameterGroupName="greedy", Parameters=greedy)
    rds.reboot_db_instance(DBInstanceIdentifier="changing")
    statuses_until(rds, "changing", "incompatible-parameters")
    assert "could not map anonymous shared memory" in messages(rds, "changing")[-1]
    rds.reset_db_parameter_group(DBParameterGroupName="greedy", ResetAllParameters=True)
    rds.reboot_db_instance(DBInstanceIdentifier="changing")
    wait(rds, "changing")
    assert ask(rds, "changing", "SHOW shared_buffers") == [("256MB",)]


def test_an_endpoint_belongs_to_the_identifier_and_a_rename_moves_it(rds: Any, created: list[str]) -> None:
    before = describe(rds, "changing")
    ask(rds, "changing", "CREATE TABLE kept (n int)")
    open_one = connect(rds, "changing")
    rds.modify_db_instance(
        DBInstanceIdentifier="changing", NewDBInstanceIdentifier="Renamed", AllocatedStorage=21, ApplyImmediately=True
    )
    until(lambda: "renamed" in identifiers(rds))
    assert refusal(rds.describe_db_instances, DBInstanceIdentifier="changing")[0] == "DBInstanceNotFound"
    assert is_closed(before) and is_closed(describe(rds, "renamed"))
    after = wait(rds, "renamed")
    assert after["Endpoint"]["Address"] != before["Endpoint"]["Address"]
    assert after["DbiResourceId"] == before["DbiResourceId"]
    assert after["DBInstanceArn"].endswith(":db:renamed")
    assert after["AllocatedStorage"] == 22  # grown by a tenth at least
    assert is_closed(before)
    with pytest.raises(psycopg2.OperationalError):
        open_one.cursor().execute("SELECT 1")
    assert ask(rds, "renamed", "SELECT count(*) FROM kept") == [(0,)]


def test_whoever_takes_a_name_that_is_free_answers_where_its_last_holder_did(rds: Any, created: list[str]) -> None:
    names = {each: describe(rds, each)["Endpoint"]["Address"] for each in ("standby", "tuned")}
    renamed = rds.modify_db_instance(
        DBInstanceIdentifier="standby", NewDBInstanceIdentifier="standby-old", ApplyImmediately=True
    )
    assert renamed["DBInstance"]["PendingModifiedValues"] == {"DBInstanceIdentifier": "standby-old"}
    until(lambda: "standby-old" in identifiers(rds))
    taken = {"NewDBInstanceIdentifier": "standby", "ApplyImmediately": True}
    assert refusal(rds.modify_db_instance, DBInstanceIdentifier="standby-old", **taken)[0] == "InvalidDBInstanceState"
    rds.modify_db_instance(DBInstanceIdentifier="tuned", **taken)
    until(lambda: "standby" in identifiers(rds))
    assert wait(rds, "standby")["Endpoint"]["Address"] == names["standby"]
    assert wait(rds, "standby-old")["Endpoint"]["Address"] not in names.values()
    refused = refusal(rds.modify_db_instance, DBInstanceIdentifier="standby-old", **taken)
    assert refused[0] == "DBInstanceAlreadyExists"
    for now, then in (("standby", "tuned"), ("standby-old", "standby")):
        rds.modify_db_instance(DBInstanceIdentifier=now, NewDBInstanceIdentifier=then, ApplyImmediately=True)
        until(lambda then=then: then in identifiers(rds))
    assert {each: wait(rds, each)["Endpoint"]["Address"] for each in names} == names


def identifiers(rds: Any) -> set[str]:
    return {each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]}


def is_closed(instance: dict[str, Any]) -> bool:
    where = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
    with socket.socket() as client:
        return client.connect_ex(where) == errno.ECONNREFUSED


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"EngineVersion": "99.9"}, "InvalidParameterCombination", "Cannot find version 99.9 for postgres"),
        ({"DBInstanceClass": "db.nonsense.tiny"}, "InvalidParameterValue", "Invalid DB Instance class"),
        ({"DBInstanceClass": "db.m4.large"}, "InvalidParameterCombination", "does not support creating"),
        ({"AllocatedStorage": 5}, "InvalidParameterValue", "Invalid storage size"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue", "shorter than 8"),
        ({"MasterUserPassword": "with@at-sign"}, "InvalidParameterValue", "Only printable ASCII"),
        ({"MasterUsername": "admin"}, "InvalidParameterValue", "reserved word"),
        ({"Engine": "mysql"}, "InvalidParameterValue", "postgres"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue", "retention period"),
        ({"DBParameterGroupName": "none"}, "DBParameterGroupNotFound", "none"),
        ({"DBInstanceIdentifier": "demo"}, "DBInstanceAlreadyExists", "already exists"),
    ],
)
def test_impossible_instances_are_refused_and_leave_nothing(
    rds: Any, created: list[str], changed: dict[str, Any], code: str, words: str
) -> None:
    before = len(rds.describe_db_instances()["DBInstances"])
    asked = {"DBInstanceIdentifier": "impossible", **REQUEST, **changed}
    refused = refusal(rds.create_db_instance, **asked)
    assert refused[0] == code
    assert words in refused[1]
    assert len(rds.describe_db_instances()["DBInstances"]) == before


def test_an_operation_before_creation_ends_is_refused_and_deletion_is_not(rds: Any, created: list[str]) -> None:
    touching = {"PreferredBackupWindow": "01:00-02:00", "PreferredMaintenanceWindow": "sun:02:00-sun:05:00"}
    asked = {**REQUEST, **touching}
    early = rds.create_db_instance(DBInstanceIdentifier="early", **asked)["DBInstance"]
    assert early["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in early
    named = {"DBInstanceIdentifier": "early"}
    for call in (rds.reboot_db_instance, rds.stop_db_instance, rds.start_db_instance):
        assert refusal(call, **named)[0] == "InvalidDBInstanceState"
    assert refusal(rds.modify_db_instance, MultiAZ=True, **named)[0] == "InvalidDBInstanceState"
    rds.delete_db_instance(SkipFinalSnapshot=True, **named)
    rds.get_waiter("db_instance_deleted").wait(**named, WaiterConfig=PROMPT)


def test_an_upgrade_goes_up_only(rds: Any, created: list[str]) -> None:
    targets = rds.describe_db_engine_versions(Engine="postgres", EngineVersion="15.3")["DBEngineVersions"]
    assert targets[0]["ValidUpgradeTarget"][0]["EngineVersion"] == "15.4"
    refused = refusal(rds.modify_db_instance, DBInstanceIdentifier="demo", EngineVersion="15.2")
    assert refused == ("InvalidParameterCombination", "Cannot upgrade postgres from 15.3 to 15.2")
    options = {"Engine": "postgres", "EngineVersion": "15.3", "DBInstanceClass": "db.t3.micro"}
    assert rds.describe_orderable_db_instance_options(**options)["OrderableDBInstanceOptions"]


def test_the_log_is_the_servers_own(rds: Any, created: list[str]) -> None:
    with pytest.raises(psycopg2.Error):
        ask(rds, "demo", "SELECT * FROM no_such_table_at_all")
    files = rds.describe_db_log_files(DBInstanceIdentifier="demo", FilenameContains="postgresql.log")
    name = files["DescribeDBLogFiles"][-1]["LogFileName"]
    portion = {"DBInstanceIdentifier": "demo", "LogFileName": name}
    assert "no_such_table_at_all" in rds.download_db_log_file_portion(**portion)["LogFileData"]
    first = rds.download_db_log_file_portion(**portion, Marker="0", NumberOfLines=1)
    assert first["LogFileData"].count("\n") == 1
    assert first["AdditionalDataPending"]
    assert refusal(rds.download_db_log_file_portion, **{**portion, "LogFileName": "error/none"})[0] == (
        "DBLogFileNotFoundFault"
    )


def test_events_honour_duration_and_need_a_type_with_an_identifier(rds: Any, created: list[str]) -> None:
    assert refusal(rds.describe_events, SourceIdentifier="demo")[0] == "InvalidParameterCombination"
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert rds.describe_events(EndTime=tomorrow, Duration=60)["Events"] == []
    assert rds.describe_events(EventCategories=["creation"], SourceType="db-instance")["Events"]


def test_cloudwatch_counts_the_connections_that_there_are(
    rds: Any, created: list[str], quick_client: Callable[[str], Any]
) -> None:
    held = [connect(rds, "demo") for _ in range(3)]
    now = datetime.datetime.now(datetime.UTC)
    question = {
        "Namespace": "AWS/RDS",
        "MetricName": "DatabaseConnections",
        "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "demo"}],
        "StartTime": now - datetime.timedelta(minutes=10),
        "EndTime": now + datetime.timedelta(minutes=10),
        "Period": 60,
        "Statistics": ["Maximum"],
    }

    def counted() -> bool:
        points = quick_client("cloudwatch").get_metric_statistics(**question)["Datapoints"]
        return any(point["Maximum"] >= len(held) for point in points)

    until(counted, seconds=25)
    names = {each["MetricName"] for each in quick_client("cloudwatch").list_metrics(Namespace="AWS/RDS")["Metrics"]}
    assert {"CPUUtilization", "FreeStorageSpace", "FreeableMemory", "ReadLatency", "WriteLatency"} <= names


def test_a_managed_password_is_rotated_for_real(
    rds: Any, created: list[str], quick_client: Callable[[str], Any]
) -> None:
    rds.modify_db_instance(DBInstanceIdentifier="standby", ManageMasterUserPassword=True)
    secret = until(lambda: wait(rds, "standby").get("MasterUserSecret"))["SecretArn"]
    secrets = quick_client("secretsmanager")
    first = secrets.get_secret_value(SecretId=secret)["SecretString"]
    until(lambda: not describe(rds, "standby")["PendingModifiedValues"])
    wait(rds, "standby")
    assert ask(rds, "standby", "SELECT 1", password=password_in(first)) == [(1,)]
    until(lambda: not refused_for_now(lambda: secrets.rotate_secret(SecretId=secret)))
    second = secrets.get_secret_value(SecretId=secret)["SecretString"]
    assert second != first
    until(lambda: not describe(rds, "standby")["PendingModifiedValues"])
    assert ask(rds, "standby", "SELECT 1", password=password_in(second)) == [(1,)]


def refused_for_now(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidDBInstanceState"
        return True
    return False


def password_in(secret: str) -> str:
    return str(json.loads(secret)["password"])


def test_deletion_follows_its_rules_and_ends_the_server(
    rds: Any, created: list[str], quick_lab: dict[str, Any]
) -> None:
    assert "protected" in refusal(rds.delete_db_instance, DBInstanceIdentifier="tuned", SkipFinalSnapshot=True)[1]
    assert refusal(rds.delete_db_instance, DBInstanceIdentifier="demo")[0] == "InvalidParameterCombination"
    both = {"SkipFinalSnapshot": True, "FinalDBSnapshotIdentifier": "last"}
    assert refusal(rds.delete_db_instance, DBInstanceIdentifier="demo", **both)[0] == "InvalidParameterCombination"
    server = psutil.Process(pid_of(quick_lab, "demo"))
    deleting = rds.delete_db_instance(DBInstanceIdentifier="demo", SkipFinalSnapshot=True)
    assert deleting["DBInstance"]["DBInstanceStatus"] == "deleting"
    assert refusal(rds.delete_db_instance, DBInstanceIdentifier="demo", SkipFinalSnapshot=True)[0] == (
        "InvalidDBInstanceState"
    )
    rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier="demo", WaiterConfig=PROMPT)
    assert not psutil.wait_procs([server], timeout=1)[1]
    assert refusal(rds.delete_db_parameter_group, DBParameterGroupName="tuned")[0] == "InvalidDBParameterGroupState"
