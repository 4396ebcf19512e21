"""Terraform for real, against the lab: built once, because the provider's fixed waits take 100 seconds."""

import json
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from prefect.artifacts import Artifact

from flows.check_environment import check_environment
from flows.deploy_infrastructure import deploy_infrastructure
from flows.show_environment import show_environment
from tasks import aws, export_tasks, health, terraform
from tasks.environment import PROJECT, describe_environment

ALARM_SECONDS = 30
pytestmark = pytest.mark.lab


def outcome(**parameters: Any) -> tuple[bool, str]:
    state = deploy_infrastructure("dev", return_state=True, **parameters)  # type: ignore[call-overload]
    return state.is_completed(), str(state.result(raise_on_failure=False))


def test_dev_is_built_serves_and_leaves_nothing_to_plan(built: dict[str, Any]) -> None:
    assert built["state"].is_completed()
    url = aws.client("ssm").get_parameter(Name=f"/{PROJECT}/dev/alb_url")["Parameter"]["Value"]
    assert httpx.get(f"{url}/health", verify=False).json()["version"] == "1.0.0"
    assert check_environment("dev", return_state=True).is_completed()  # type: ignore[call-overload]


@pytest.mark.usefixtures("built")
def test_rds_accepts_the_bucket_the_role_and_the_key_that_exports_are_given() -> None:
    where = describe_environment.fn("dev")
    source = export_tasks.describe_source.fn(where.db_identifier, None, "accepted")
    assert export_tasks.start_export_task.fn(where, source, "accepted", (), 7).status == "STARTING"
    export_tasks.cancel_export_task.fn("accepted")


@pytest.mark.usefixtures("built")
def test_every_alarm_has_data_and_none_is_raised() -> None:
    def states() -> dict[str, str]:
        found = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
        return {
            one["AlarmName"]: one["StateValue"] for one in found if not one["AlarmName"].startswith("TargetTracking")
        }

    deadline = time.monotonic() + ALARM_SECONDS
    while set(states().values()) != {"OK"}:
        assert time.monotonic() < deadline, states()
        time.sleep(0.5)


def test_building_it_again_changes_nothing(built: dict[str, Any]) -> None:
    template = aws.client("ec2").describe_launch_templates()["LaunchTemplates"][0]
    assert outcome()[0]
    assert aws.client("ec2").describe_launch_templates()["LaunchTemplates"][0] == template


def test_the_database_password_is_in_no_state_and_opens_the_database(built: dict[str, Any]) -> None:
    secret = json.loads(aws.client("secretsmanager").get_secret_value(SecretId=f"{PROJECT}-dev-db")["SecretString"])
    bucket = f"terraform-state-{PROJECT}-123456789012"
    versions = aws.client("s3").list_object_versions(Bucket=bucket, Prefix="dev/")["Versions"]
    for version in versions:
        body = boto3.client("s3").get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"]
        assert secret["password"].encode() not in body.read()


def test_the_database_password_is_in_no_log_report_run_or_result(
    built: dict[str, Any], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = json.loads(aws.client("secretsmanager").get_secret_value(SecretId=f"{PROJECT}-dev-db")["SecretString"])
    with caplog.at_level("DEBUG", logger="prefect"), caplog.at_level("DEBUG", logger="python_terraform"):
        done, result = outcome(dry_run=True)
    assert done
    kinds = ("artifacts", "flow_runs", "task_runs")
    kept = [httpx.post(f"{built['prefect']}/{kind}/filter", json={"limit": 200}).raise_for_status() for kind in kinds]
    told = [result, caplog.text, *capfd.readouterr(), *(answer.text for answer in kept)]
    assert "deploy-infrastructure" in "".join(told)
    assert not any(secret["password"] in text for text in told)


def test_a_manual_change_is_planned_away_and_shown_in_a_dry_run(built: dict[str, Any]) -> None:
    logs = aws.client("logs")
    logs.put_retention_policy(logGroupName=f"/aws/ec2/{PROJECT}-dev", retentionInDays=1)
    assert outcome(dry_run=True)[0]
    assert (
        logs.describe_log_groups(logGroupNamePrefix=f"/aws/ec2/{PROJECT}-dev")["logGroups"][0]["retentionInDays"] == 1
    )
    assert outcome()[0]
    assert (
        logs.describe_log_groups(logGroupNamePrefix=f"/aws/ec2/{PROJECT}-dev")["logGroups"][0]["retentionInDays"] == 14
    )


def test_another_image_is_sent_to_the_right_procedure(built: dict[str, Any]) -> None:
    ended_well, message = outcome(image=f"sha256:{secrets.token_hex(32)}")
    assert not ended_well
    assert "has no image" in message


def test_a_held_state_lock_is_named_and_respected(built: dict[str, Any]) -> None:
    s3, bucket = aws.client("s3"), f"terraform-state-{PROJECT}-123456789012"
    lock = {
        "ID": "11111111-1111-1111-1111-111111111111",
        "Operation": "OperationTypeApply",
        "Info": "",
        "Who": "ada@elsewhere",
        "Version": "1.11.4",
        "Created": "2026-11-24T02:00:00.0Z",
        "Path": f"{bucket}/dev/terraform.tfstate",
    }
    s3.put_object(Bucket=bucket, Key="dev/terraform.tfstate.tflock", Body=json.dumps(lock).encode())
    try:
        ended_well, message = outcome()
        assert not ended_well
        assert "locked by ada@elsewhere" in message
    finally:
        s3.delete_object(Bucket=bucket, Key="dev/terraform.tfstate.tflock")


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)  # four applies, the one that builds dev among them
def test_backups_are_replicated_into_another_region_and_no_more(
    built: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the flag alone; off again, what has arrived stays, and its key waits to be taken back."""
    code = Path(shutil.copytree(terraform.SOURCE, tmp_path / "terraform"))
    settings = code / "environments/dev/terraform.tfvars"
    as_committed = settings.read_text()
    settings.write_text(f"{as_committed}backup_replica = true\n")
    monkeypatch.setattr(terraform, "SOURCE", code)
    assert outcome()[0]  # with an empty plan behind it

    where = describe_environment.fn("dev")
    (there,) = replicas("eu-west-1")
    assert there["DBInstanceAutomatedBackupsArn"] == where.backup_replica_arn
    assert (there["DBInstanceIdentifier"], there["Region"]) == (where.db_identifier, "eu-north-1")
    assert (there["Status"], there["Encrypted"], there["BackupRetentionPeriod"]) == ("replicating", True, 7)
    assert there["KmsKeyId"].startswith("arn:aws:kms:eu-west-1:")
    assert health.check_component.fn("backup replica", where).verdict == "ok"
    assert show_environment("dev")["backup_replica_arn"] == where.backup_replica_arn
    told = str(Artifact.get("show-environment-dev").data)  # type: ignore[union-attr]
    assert f"--source-db-instance-automated-backups-arn {where.backup_replica_arn} --use-latest-restorable-time" in told

    settings.write_text(as_committed)
    key = 'module.backup_replica["main"].aws_kms_key.main'
    refused, why = outcome()
    assert not refused
    assert key in why
    assert replicas("eu-west-1")[0]["Status"] == "replicating"
    assert outcome(allow_loss=[key])[0]
    assert replicas("eu-west-1")[0]["Status"] == "retained"
    assert "DBInstanceAutomatedBackupsReplications" not in replicas("eu-north-1")[0]
    key_id = there["KmsKeyId"].rpartition("/")[2]
    assert aws.client("kms", "eu-west-1").describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    found = health.check_component.fn("backup replica", describe_environment.fn("dev"))
    assert (found.verdict, found.observed[:11]) == ("warn", "not enabled")


def replicas(region: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = aws.client("rds", region).describe_db_instance_automated_backups()[
        "DBInstanceAutomatedBackups"
    ]
    return found
