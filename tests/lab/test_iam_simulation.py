"""What IAM's policy simulator says, as IAM's evaluation logic has it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

ANYBODY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
BUCKET = "arn:aws:s3:::shop-backups"


@pytest.fixture
def iam(client: Callable[..., Any]) -> Any:
    return client("iam")


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def decisions(iam: Any, arn: str, *actions: str, resources: tuple[str, ...] = ()) -> dict[str, str]:
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=arn, ActionNames=list(actions), **({"ResourceArns": list(resources)} if resources else {})
    )
    found = [one for page in pages for one in page["EvaluationResults"]]
    assert len(found) == len(actions) * max(1, len(resources))
    return {f"{one['EvalActionName']} {one['EvalResourceName']}": one["EvalDecision"] for one in found}


@pytest.fixture
def role(iam: Any) -> str:
    made = iam.create_role(RoleName="operator", AssumeRolePolicyDocument=json.dumps(ANYBODY))
    return str(made["Role"]["Arn"])


def put(iam: Any, *statements: dict[str, Any]) -> None:
    iam.put_role_policy(RoleName="operator", PolicyName="may", PolicyDocument=policy(*statements))


def test_what_no_policy_allows_is_denied_and_a_deny_is_stronger_than_an_allow(iam: Any, role: str) -> None:
    put(iam, allow("rds:Describe*", "rds:DeleteDBInstance"), {**allow("rds:Delete*"), "Effect": "Deny"})
    found = decisions(iam, role, "RDS:DescribeDBInstances", "rds:DeleteDBInstance", "ec2:RunInstances")
    assert list(found.values()) == ["allowed", "explicitDeny", "implicitDeny"]


def test_each_action_is_asked_of_each_resource_and_of_all_when_none_is_named(iam: Any, role: str) -> None:
    put(iam, allow("s3:GetObject", Resource=f"{BUCKET}/*"), allow("s3:ListBucket", Resource=BUCKET))
    found = decisions(iam, role, "s3:GetObject", "s3:ListBucket", resources=(BUCKET, f"{BUCKET}/a[1]"))
    assert found == {
        f"s3:GetObject {BUCKET}": "implicitDeny",
        f"s3:GetObject {BUCKET}/a[1]": "allowed",
        f"s3:ListBucket {BUCKET}": "allowed",
        f"s3:ListBucket {BUCKET}/a[1]": "implicitDeny",
    }
    assert decisions(iam, role, "s3:GetObject") == {"s3:GetObject *": "implicitDeny"}


def test_everything_but_is_understood(iam: Any, role: str) -> None:
    put(
        iam,
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {**allow("*"), "Effect": "Deny"} | {"Resource": BUCKET},
    )
    found = decisions(iam, role, "iam:CreateRole", "s3:GetObject", resources=(BUCKET, f"{BUCKET}/a"))
    assert list(found.values()) == ["explicitDeny", "implicitDeny", "explicitDeny", "allowed"]


def test_a_condition_is_not_met_where_no_context_is_given_and_its_key_is_named(iam: Any, role: str) -> None:
    put(iam, allow("s3:*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}))
    (one,) = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["s3:GetObject"])["EvaluationResults"]
    assert (one["EvalDecision"], one["MissingContextValues"]) == ("implicitDeny", ["aws:MultiFactorAuthPresent"])


def test_a_boundary_allows_nothing_by_itself_and_limits_everything(iam: Any, role: str) -> None:
    put(iam, allow("s3:*"))
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=policy(allow("s3:Get*", "ec2:*")))["Policy"]
    iam.put_role_permissions_boundary(RoleName="operator", PermissionsBoundary=boundary["Arn"])
    found = decisions(iam, role, "s3:GetObject", "s3:PutObject", "ec2:RunInstances")
    assert list(found.values()) == ["allowed", "implicitDeny", "implicitDeny"]


def test_a_user_may_also_what_its_groups_may_and_more_than_a_page_is_paged(iam: Any) -> None:
    arn = iam.create_user(UserName="ann")["User"]["Arn"]
    iam.create_group(GroupName="operators")
    iam.add_user_to_group(GroupName="operators", UserName="ann")
    iam.attach_group_policy(GroupName="operators", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    found = decisions(iam, arn, *(f"s3:Get{number}" for number in range(150)), "s3:PutObject")
    assert list(found.values()) == ["allowed"] * 150 + ["implicitDeny"]


@pytest.mark.parametrize(
    ("arn", "error"),
    [
        ("arn:aws:sts::123456789012:assumed-role/operator/ann", "InvalidInput"),
        ("arn:aws:iam::123456789012:root", "InvalidInput"),
        ("arn:aws:iam::123456789012:role/nobody", "NoSuchEntity"),
    ],
)
def test_who_is_no_entity_of_iam_is_refused(iam: Any, arn: str, error: str) -> None:
    with pytest.raises(iam.exceptions.ClientError, match=error):
        iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:GetObject"])
