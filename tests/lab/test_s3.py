"""Buckets as the Terraform state needs them: versions, a lock by If-None-Match, policies whose conditions count."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

BUCKET = "terraform-state-demo-flask-app-123456789012"
Statement = dict[str, Any]


@pytest.fixture
def s3(client: Callable[..., Any]) -> Any:
    api = client("s3")
    api.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    return api


def deny(condition: dict[str, Any] | None, action: str = "s3:*") -> Statement:
    resources = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    statement: Statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def put_policy(s3: Any, *statements: Statement) -> None:
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))


def test_policy_that_demands_tls_lets_the_labs_clients_in(s3: Any) -> None:
    put_policy(
        s3,
        deny({"Bool": {"aws:SecureTransport": "false"}}),
        deny({"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        deny({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}),
    )
    s3.put_object(Bucket=BUCKET, Key="dev/terraform.tfstate", Body=b"{}")
    assert s3.get_object(Bucket=BUCKET, Key="dev/terraform.tfstate")["Body"].read() == b"{}"


@pytest.mark.parametrize("condition", [None, {"Bool": {"aws:SecureTransport": "true"}}])
def test_denial_that_applies_is_a_denial(s3: Any, condition: dict[str, Any] | None) -> None:
    put_policy(s3, deny(condition, "s3:PutObject"))
    with pytest.raises(ClientError) as refusal:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"")
    assert refusal.value.response["Error"]["Code"] == "AccessDenied"


def test_object_that_is_not_there(s3: Any) -> None:
    with pytest.raises(ClientError) as refusal:
        s3.head_object(Bucket=BUCKET, Key="absent")
    assert refusal.value.response["Error"]["Code"] == "404"
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key="absent")


def test_second_lock_is_refused(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="lock", Body=b"mine", IfNoneMatch="*")
    with pytest.raises(ClientError) as refusal:
        s3.put_object(Bucket=BUCKET, Key="lock", Body=b"yours", IfNoneMatch="*")
    assert refusal.value.response["Error"]["Code"] == "PreconditionFailed"


def test_every_version_can_be_had_again(s3: Any) -> None:
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=BUCKET, Key="state", Body=b"1")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key="state", Body=b"2")
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix="state")["Versions"]
    assert [version["IsLatest"] for version in versions] == [True, False]
    assert s3.get_object(Bucket=BUCKET, Key="state", VersionId=first)["Body"].read() == b"1"
