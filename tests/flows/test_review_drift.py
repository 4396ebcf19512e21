"""Drift in an environment that Terraform built: found, blamed, tolerated for a while, reverted."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from prefect.artifacts import Artifact

from flows.deploy_infrastructure import deploy_infrastructure
from flows.review_drift import review_drift
from tasks import aws, cloudtrail
from tasks.environment import describe_environment

GROUP = "module.ec2.aws_autoscaling_group.main"
DELIVERED_SECONDS = 30
pytestmark = pytest.mark.lab


def review(**parameters: Any) -> tuple[bool, str]:
    state = review_drift("dev", return_state=True, **parameters)  # type: ignore[call-overload]
    return state.is_completed(), str(state.result(raise_on_failure=False))


def report() -> str:
    return str(Artifact.get("review-drift-dev").data)  # type: ignore[union-attr]


def as_ann(service: str) -> Any:
    iam = aws.client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    return boto3.client(service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])


def wait_until_told(text: str) -> None:
    deadline = time.monotonic() + DELIVERED_SECONDS
    while not any(text in one.mentions for one in cloudtrail.list_changes.fn(datetime.now(UTC) - timedelta(hours=1))):
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.usefixtures("built")
def test_drift_is_blamed_tolerated_for_a_while_and_reverted() -> None:
    assert review() == (True, "no drift")
    group = describe_environment.fn("dev").asg_name
    most = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    before = most["AutoScalingGroups"][0]["MaxSize"]
    as_ann("autoscaling").update_auto_scaling_group(AutoScalingGroupName=group, MaxSize=15)
    wait_until_told(group)

    is_green, said = review()
    assert not is_green
    assert f"{GROUP}: max_size is 15, expected {before}" in said
    assert "UpdateAutoScalingGroup by ann" in report()

    until = datetime.now(UTC) + timedelta(days=2)
    assert not review(ignore=[GROUP])[0]
    assert review(ignore=[GROUP], until=until, reason="INC-42: load test")[0]
    assert review()[0]
    assert "INC-42: load test" in report()

    assert deploy_infrastructure("dev", return_state=True).is_completed()  # type: ignore[call-overload]
    assert review() == (True, "no drift")
