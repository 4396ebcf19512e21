"""What an operator lacks is said before it is needed: each permission, simulated for whoever is signed in."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from flows.check_prerequisites import check_prerequisites
from tasks.permissions import EVERYDAY, actions
from tasks.terraform import state_bucket
from tests.signed_in import become

ROLE = "arn:aws:iam::123456789012:role/team/operator"
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
SignIn = Callable[..., None]


@pytest.fixture
def sign_in(account: dict[str, Any], client: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> SignIn:
    """As a session of a role that may what the statements say."""
    client("s3").create_bucket(Bucket=state_bucket(), CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})

    def sign_in(*statements: dict[str, Any]) -> None:
        iam = client("iam")
        iam.create_role(RoleName="operator", Path="/team/", AssumeRolePolicyDocument=json.dumps(TRUST))
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName="operator", PolicyName="may", PolicyDocument=document)
        become(client("sts"), ROLE, "ann", monkeypatch)

    return sign_in


def allow(*names: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(names), "Resource": "*", **more}


def check() -> tuple[bool, dict[str, tuple[str, str]]]:
    """Whether it is green, and what was found."""
    state = check_prerequisites(return_state=True)  # type: ignore[call-overload]
    said = state.result(raise_on_failure=False)
    if not state.is_completed():
        return False, {"": ("", str(said))}
    return True, {one["component"]: (one["verdict"], one["observed"]) for one in json.loads(said)}


def test_a_session_of_a_role_may_what_its_role_may(sign_in: SignIn, prefect_server: str) -> None:
    sign_in(allow("*"))
    green, found = check()
    assert green, found
    assert found["permissions"] == ("ok", f"{ROLE} may do all of {len(list(actions(EVERYDAY)))} actions asked for")
    assert found["permissions to set up"][0] == "ok"


def test_a_role_bounded_by_the_names_of_what_is_the_projects_is_enough(sign_in: SignIn, prefect_server: str) -> None:
    bounded = {"s3", "dynamodb", "secretsmanager", "iam"}
    everywhere = [one for one in actions(EVERYDAY) if one.partition(":")[0] not in bounded]
    sign_in(
        allow(
            *everywhere, "iam:Get*", "iam:Simulate*", "secretsmanager:ListSecrets", "secretsmanager:GetRandomPassword"
        ),
        allow("s3:*", Resource="arn:aws:s3:::demo-flask-app-*"),
        allow("dynamodb:*", Resource="arn:aws:dynamodb:*:*:table/terraform-state-lock-demo-flask-app"),
        allow("secretsmanager:*", Resource="arn:aws:secretsmanager:*:*:secret:demo-flask-app-*"),
        allow("iam:PassRole", "iam:List*", Resource="arn:aws:iam::*:role/demo-flask-app-*"),
    )
    green, found = check()
    assert green, found
    assert found["permissions"][0] == "ok"
    verdict, said = found["permissions to set up"]
    assert verdict == "warn"
    assert "iam:CreateRole" in said
    assert "s3:" not in said


def test_what_is_denied_or_never_allowed_is_named_and_red(sign_in: SignIn, prefect_server: str) -> None:
    sign_in(allow("*"), {**allow("rds:DeleteDBInstance", "ssm:StartSession"), "Effect": "Deny"})
    green, found = check()
    assert not green
    assert f"{ROLE} may not rds:DeleteDBInstance, ssm:StartSession: ask for these permissions" in found[""][1]


def test_who_may_not_simulate_is_told_that_the_permissions_are_unknown(
    account: dict[str, Any], client: Callable[[str], Any], prefect_server: str
) -> None:
    """The lab's usual caller is no entity of IAM's."""
    client("s3").create_bucket(Bucket=state_bucket(), CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    green, found = check()
    assert green
    verdict, said = found["permissions"]
    assert verdict == "warn"
    assert "so they are unknown" in said
