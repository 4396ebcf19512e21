"""The credential report: asynchronous, with the root account, of now."""

import csv
import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError


def report_of(iam: Any) -> Any:
    while iam.generate_credential_report()["State"] != "COMPLETE":
        time.sleep(0.02)
    return iam.get_credential_report()


def test_report_is_refused_until_it_is_generated(client: Callable[..., Any]) -> None:
    """D09: generation is asynchronous; who fetches at once gets an error, or last time's report."""
    iam = client("iam")
    with pytest.raises(iam.exceptions.CredentialReportNotPresentException):
        iam.get_credential_report()
    assert iam.generate_credential_report()["State"] == "STARTED"
    with pytest.raises(iam.exceptions.CredentialReportNotReadyException):
        iam.get_credential_report()
    assert iam.generate_credential_report()["State"] == "INPROGRESS"
    assert report_of(iam)["ReportFormat"] == "text/csv"


def test_report_begins_with_the_root_account_and_tells_its_time(client: Callable[..., Any]) -> None:
    iam = client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    iam.create_login_profile(UserName="ann", Password="correct horse battery")
    iam.update_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    report = report_of(iam)
    root, ann = csv.DictReader(io.StringIO(report["Content"].decode()))
    assert (datetime.now(UTC) - report["GeneratedTime"]).total_seconds() < 60
    assert (root["user"], root["mfa_active"]) == ("<root_account>", "true")
    assert (ann["user"], ann["password_enabled"], ann["mfa_active"]) == ("ann", "true", "false")
    assert (ann["access_key_1_active"], ann["access_key_1_last_used_date"]) == ("false", "N/A")
    assert ann["access_key_2_active"] == "false"
    assert None not in (*root.values(), *ann.values())


def test_report_of_an_hour_ago_is_given_again(client: Callable[..., Any]) -> None:
    """AWS writes a new one only every four hours: a user made since is not in it."""
    iam = client("iam")
    first = report_of(iam)
    iam.create_user(UserName="bob")
    assert report_of(iam) | {"ResponseMetadata": None} == first | {"ResponseMetadata": None}


def test_awss_own_policies_can_be_attached(client: Callable[..., Any]) -> None:
    iam = client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    for name in ("AmazonSSMManagedInstanceCore", "CloudWatchAgentServerPolicy", "AmazonEC2ContainerRegistryReadOnly"):
        iam.attach_role_policy(RoleName="r", PolicyArn=f"arn:aws:iam::aws:policy/{name}")
    assert len(iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]) == 3


def test_unknown_policy_is_refused(client: Callable[..., Any]) -> None:
    iam = client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    with pytest.raises(ClientError) as refusal:
        iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")
    assert refusal.value.response["Error"]["Code"] == "NoSuchEntity"
