"""Who may take the roles of GitHub's jobs, and what they may do; made once, and set right again."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from flows.set_up_github import set_up_github
from tests.github import GitHub, serving, set_up

REPOSITORY = "acme/shop"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
PUSH, PLAN = "demo-flask-app-github-push", "demo-flask-app-github-plan"


@pytest.fixture
def iam(account: dict[str, Any], client: Callable[[str], Any]) -> Any:
    made = client("iam")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    made.create_policy(PolicyName="Widened", PolicyDocument=json.dumps(everything))
    return made


def run(**parameters: Any) -> Any:
    return set_up_github(REPOSITORY, **parameters, return_state=True)  # type: ignore[call-overload]


def subject(iam: Any, role: str) -> Any:
    (statement,) = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Federated": PROVIDER}
    return statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]


def test_each_role_is_for_its_jobs_alone_and_twice_is_once(iam: Any, prefect_server: str) -> None:
    for _ in range(2):
        assert run().is_completed()
    assert [one["Arn"] for one in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]] == [PROVIDER]
    assert subject(iam, PUSH) == "repo:acme/shop:ref:refs/heads/main"
    assert subject(iam, PLAN) == "repo:acme/shop:pull_request"
    allowed = iam.get_role_policy(RoleName=PUSH, PolicyName="runbook")["PolicyDocument"]["Statement"]
    assert all(action.startswith("ecr:") for one in allowed for action in one["Action"])
    page = httpx.get(f"{prefect_server}/artifacts/set-up-github/latest").raise_for_status().json()["data"]
    assert f"gh variable set AWS_ROLE_ARN --repo acme/shop --body arn:aws:iam::123456789012:role/{PUSH}" in page


def test_what_somebody_widened_by_hand_is_set_right(iam: Any) -> None:
    assert run().is_completed()
    anyone = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    iam.update_assume_role_policy(RoleName=PUSH, PolicyDocument=json.dumps(anyone))
    iam.attach_role_policy(RoleName=PUSH, PolicyArn="arn:aws:iam::123456789012:policy/Widened")
    assert run().is_completed()
    assert subject(iam, PUSH) == "repo:acme/shop:ref:refs/heads/main"
    assert iam.list_attached_role_policies(RoleName=PUSH)["AttachedPolicies"] == []


def test_a_dry_run_makes_nothing_and_a_name_that_is_none_is_refused(iam: Any) -> None:
    assert run(dry_run=True).is_completed()
    assert set_up_github("not a name", return_state=True).is_failed()  # type: ignore[call-overload]
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    assert iam.list_roles()["Roles"] == []


def test_with_a_token_the_workflows_get_their_variables(iam: Any) -> None:
    with serving(GitHub(REPOSITORY, "canary-token")) as github, set_up(github):
        for _ in range(2):
            assert run().is_completed()
        assert github.variables == {
            "AWS_ROLE_ARN": f"arn:aws:iam::123456789012:role/{PUSH}",
            "AWS_PLAN_ROLE_ARN": f"arn:aws:iam::123456789012:role/{PLAN}",
        }
