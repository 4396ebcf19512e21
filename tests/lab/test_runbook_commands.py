"""The first pages of the runbook, typed by hand with the stock AWS CLI against the lab."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stack import NAME, Stack, build_stack

AWS = str(Path(sys.executable).with_name("aws"))


@pytest.fixture
def stack(account: dict[str, Any], client: Callable[[str], Any]) -> Stack:
    return build_stack(account, client)


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([AWS, *words], env=os.environ, capture_output=True, text=True, check=False)


def answer(*words: str) -> Any:
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_the_commands_of_a_deployment_work(stack: Stack) -> None:
    assert answer("sts", "get-caller-identity")["Account"] == "123456789012"
    groups = answer("autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", stack.asg)
    assert {i["LifecycleState"] for i in groups["AutoScalingGroups"][0]["Instances"]} == {"InService"}
    targets = answer("elbv2", "describe-target-health", "--target-group-arn", stack.target_group)
    assert {t["TargetHealth"]["State"] for t in targets["TargetHealthDescriptions"]} == {"healthy"}
    assert answer("autoscaling", "describe-instance-refreshes", "--auto-scaling-group-name", stack.asg) == {
        "InstanceRefreshes": []
    }
    preferences = '{"MinHealthyPercentage": 90, "InstanceWarmup": 600}'
    named = ("--auto-scaling-group-name", stack.asg)
    started = answer("autoscaling", "start-instance-refresh", *named, "--preferences", preferences)
    (refresh,) = answer("autoscaling", "describe-instance-refreshes", *named, "--max-records", "1")["InstanceRefreshes"]
    assert refresh["InstanceRefreshId"] == started["InstanceRefreshId"]
    assert "InstanceRefreshInProgress" in cli("autoscaling", "start-instance-refresh", *named).stderr
    images = answer("ecr", "describe-images", "--repository-name", "demo-flask-app")["imageDetails"]
    assert images[0]["imageTags"] == ["1.0.0"]


def test_the_commands_of_the_morning_work(stack: Stack) -> None:
    alarms = answer("cloudwatch", "describe-alarms", "--state-value", "ALARM", "--query", "MetricAlarms[*].AlarmName")
    assert alarms == []
    assert "ResourceNotFound" in cli("cloudwatch", "get-dashboard", "--dashboard-name", f"{NAME}-dashboard").stderr
    group = f"/aws/ec2/{NAME}"
    errors = answer("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", '{ $.level = "ERROR" }')
    assert errors["events"] == []
    lines = answer("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", '{ $.level = "INFO" }')
    assert {json.loads(event["message"])["msg"] for event in lines["events"]} == {"started"}
    assert answer("guardduty", "list-detectors") == {"DetectorIds": []}


def test_the_database_and_its_secret_answer_and_can_be_waited_for(account: dict[str, Any]) -> None:
    made = ("--db-instance-identifier", "demo-db")
    answer(
        "rds", "create-db-instance", *made, "--engine", "postgres", "--db-instance-class", "db.t3.micro",
        "--allocated-storage", "20", "--master-username", "postgres", "--master-user-password", "long-enough-1",
    )  # fmt: skip
    done = cli("rds", "wait", "db-instance-available", *made)
    assert done.returncode == 0, done.stderr
    status = "DBInstances[0].[DBInstanceStatus,Endpoint.Address]"
    found = answer("rds", "describe-db-instances", *made, "--query", status)
    assert found[0] == "available"
    answer("secretsmanager", "create-secret", "--name", "demo", "--secret-string", '{"password": "x"}')
    secret = answer("secretsmanager", "get-secret-value", "--secret-id", "demo")
    assert json.loads(secret["SecretString"]) == {"password": "x"}


def test_versions_of_a_state_can_be_listed_and_fetched(account: dict[str, Any], tmp_path: Path) -> None:
    answer(
        "s3api", "create-bucket", "--bucket", "states", "--create-bucket-configuration", "LocationConstraint=eu-north-1"
    )
    answer("s3api", "put-bucket-versioning", "--bucket", "states", "--versioning-configuration", "Status=Enabled")
    for text in ("old", "new"):
        (tmp_path / "state").write_text(text)
        answer("s3api", "put-object", "--bucket", "states", "--key", "dev/s", "--body", str(tmp_path / "state"))
    versions = answer("s3api", "list-object-versions", "--bucket", "states", "--prefix", "dev/")["Versions"]
    old = next(v["VersionId"] for v in versions if not v["IsLatest"])
    answer("s3api", "get-object", "--bucket", "states", "--key", "dev/s", "--version-id", old, str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "old"


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (("rds", "describe-events", "--source-identifier", "demo-db"), "InvalidParameterCombination"),  # D07
        (
            (
                "cloudwatch", "get-metric-statistics", "--namespace", "AWS/ApplicationELB", "--metric-name", "X",
                "--start-time", "2026-11-24T00:00:00Z", "--end-time", "2026-11-24T01:00:00Z", "--period", "300",
                "--statistics", "Average", "--extended-statistics", "p95",
            ),
            "InvalidParameterCombination",
        ),  # D06
        (("secretsmanager", "rotate-secret", "--secret-id", "none"), "ResourceNotFoundException"),
    ],
)  # fmt: skip
def test_what_is_wrong_as_written_is_refused_as_aws_refuses_it(
    account: dict[str, Any], command: tuple[str, ...], refusal: str
) -> None:
    """D06 and D07 of the procedures."""
    done = cli(*command)
    assert done.returncode != 0
    assert refusal in done.stderr
