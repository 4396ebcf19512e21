"""The event history: who changed what, a few minutes later, without secrets and without what only looked."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

DELIVERED_SECONDS = 15


def lookup(cloudtrail: Any, count: int, **asked: Any) -> list[dict[str, Any]]:
    """The events, once there are as many as expected."""
    deadline = time.monotonic() + DELIVERED_SECONDS
    while True:
        found = [e for page in cloudtrail.get_paginator("lookup_events").paginate(**asked) for e in page["Events"]]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def by(key: str, value: str) -> list[dict[str, str]]:
    return [{"AttributeKey": key, "AttributeValue": value}]


def test_tells_some_minutes_later_who_changed_what_without_secrets(client: Callable[..., Any]) -> None:
    iam, cloudtrail = client("iam"), client("cloudtrail")
    iam.create_user(UserName="ann")
    iam.create_login_profile(UserName="ann", Password="canary-1 Aa1!")
    client("secretsmanager").create_secret(Name="s", SecretString="canary-2")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    ann = boto3.client("rds", region_name="eu-north-1", **keys)
    with pytest.raises(ClientError):
        ann.delete_db_instance(DBInstanceIdentifier="none")
    ann.describe_db_parameter_groups()
    ann.create_db_parameter_group(DBParameterGroupName="pg", DBParameterGroupFamily="postgres15", Description="hers")
    assert cloudtrail.lookup_events(LookupAttributes=by("Username", "ann"))["Events"] == []
    (event,) = lookup(cloudtrail, 1, LookupAttributes=by("Username", "ann"))
    assert (event["EventName"], event["EventSource"]) == ("CreateDBParameterGroup", "rds.amazonaws.com")
    record = json.loads(event["CloudTrailEvent"])
    assert record["requestParameters"]["dBParameterGroupName"] == "pg"
    assert "Boto3" in record["userAgent"]
    assert record["userIdentity"]["arn"] == "arn:aws:iam::123456789012:user/ann"
    events = lookup(cloudtrail, 5)
    assert {e["EventName"] for e in events} >= {"CreateSecret", "CreateLoginProfile"}
    assert "canary" not in json.dumps(events, default=str)


def test_gives_fifty_at_a_time_newest_first(client: Callable[..., Any]) -> None:
    sns, cloudtrail = client("sns"), client("cloudtrail")
    for i in range(55):
        sns.create_topic(Name=f"t{i}")
    events = lookup(cloudtrail, 55, StartTime=datetime.now(UTC) - timedelta(minutes=5))
    names = [json.loads(e["CloudTrailEvent"])["requestParameters"]["name"] for e in events]
    assert names == [f"t{i}" for i in reversed(range(55))]
    with pytest.raises(cloudtrail.exceptions.InvalidMaxResultsException):
        cloudtrail.lookup_events(MaxResults=51)
