"""GitHub's way into the account without a stored key: its OIDC provider, and a role for each thing that its jobs do."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks import aws
from tasks.change_lock import LOCK_TABLE
from tasks.environment import PROJECT
from tasks.errors import VerificationFailed
from tasks.kinds import action, probe
from tasks.terraform import state_bucket

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

HOST = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
POLICY = "runbook"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
MAIN, PULL_REQUEST = "ref:refs/heads/main", "pull_request"


@dataclass(frozen=True)
class Role:
    """`variable` is where the workflows look for its ARN, `subject` the only jobs that may take it."""

    name: str
    variable: str
    subject: str
    managed: tuple[str, ...]

    def trust(self, provider: str) -> dict[str, Any]:
        """Source: IAM user guide, "Create a role for OpenID Connect federation", GitHub."""
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": provider},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {"StringEquals": {f"{HOST}:aud": AUDIENCE, f"{HOST}:sub": self.subject}},
                }
            ],
        }


@dataclass(frozen=True)
class GitHubPlan:
    repository: str
    provider: str
    region: str
    account: str
    roles: tuple[Role, ...]

    def arn(self, role: Role) -> str:
        return f"arn:aws:iam::{self.account}:role/{role.name}"

    def policy(self, role: Role) -> dict[str, Any]:
        """The least that each one's job needs: push images of main; or look, and hold Terraform's lock meanwhile."""
        if role.subject.endswith(MAIN):
            images = f"arn:aws:ecr:{self.region}:{self.account}:repository/{PROJECT}"
            return _allow(
                (["ecr:GetAuthorizationToken"], "*"),
                (
                    [
                        "ecr:BatchCheckLayerAvailability",
                        "ecr:BatchGetImage",
                        "ecr:CompleteLayerUpload",
                        "ecr:DescribeImages",
                        "ecr:DescribeRepositories",
                        "ecr:GetDownloadUrlForLayer",
                        "ecr:InitiateLayerUpload",
                        "ecr:PutImage",
                        "ecr:UploadLayerPart",
                    ],
                    images,
                ),
            )
        bucket = f"arn:aws:s3:::{state_bucket()}"
        table = f"arn:aws:dynamodb:{self.region}:{self.account}:table/{LOCK_TABLE}"
        secrets = f"arn:aws:secretsmanager:{self.region}:{self.account}:secret:{PROJECT}-*"
        return _allow(
            (["s3:PutObject", "s3:DeleteObject"], f"{bucket}/*.tflock"),
            (["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"], table),
            (["secretsmanager:GetSecretValue"], secrets),
        )


def _allow(*statements: tuple[list[str], str]) -> dict[str, Any]:
    allowed = [{"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in statements]
    return {"Version": "2012-10-17", "Statement": allowed}


@probe
def plan_github(repository: str) -> GitHubPlan:
    account = str(aws.client("sts").get_caller_identity()["Account"])
    provider = f"arn:aws:iam::{account}:oidc-provider/{HOST}"
    roles = (
        Role(f"{PROJECT}-github-push", "AWS_ROLE_ARN", f"repo:{repository}:{MAIN}", ()),
        Role(f"{PROJECT}-github-plan", "AWS_PLAN_ROLE_ARN", f"repo:{repository}:{PULL_REQUEST}", (READ_ONLY,)),
    )
    return GitHubPlan(repository, provider, aws.region(), account, roles)


@action
def ensure_provider(plan: GitHubPlan) -> None:
    """One an account; AWS trusts GitHub's certificate by itself, so no thumbprint is pinned."""
    iam = _iam()
    known = [one["Arn"] for one in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    if plan.provider not in known:
        iam.create_open_id_connect_provider(Url=f"https://{HOST}", ClientIDList=[AUDIENCE])
    elif AUDIENCE not in iam.get_open_id_connect_provider(OpenIDConnectProviderArn=plan.provider)["ClientIDList"]:
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=plan.provider, ClientID=AUDIENCE)


@action
def ensure_role(plan: GitHubPlan, role: Role) -> None:
    """Made, or set to what it should be: also what somebody widened by hand."""
    iam, trust = _iam(), json.dumps(role.trust(plan.provider))
    try:
        iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=trust, MaxSessionDuration=3600)
    except iam.exceptions.EntityAlreadyExistsException:
        iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=trust)
    iam.put_role_policy(RoleName=role.name, PolicyName=POLICY, PolicyDocument=json.dumps(plan.policy(role)))
    for arn in role.managed:
        iam.attach_role_policy(RoleName=role.name, PolicyArn=arn)
    for arn in set(_attached(role)) - set(role.managed):
        iam.detach_role_policy(RoleName=role.name, PolicyArn=arn)


@probe
def require_as_planned(plan: GitHubPlan) -> None:
    """
    Raises:
        VerificationFailed: a role trusts, or may do, something else than planned.
    """
    for role in plan.roles:
        found = _iam().get_role(RoleName=role.name)["Role"]
        if found["AssumeRolePolicyDocument"] != role.trust(plan.provider):
            raise VerificationFailed(f"{role.name} trusts {found['AssumeRolePolicyDocument']}, expected {role.subject}")
        policy = _iam().get_role_policy(RoleName=role.name, PolicyName=POLICY)["PolicyDocument"]
        if policy != plan.policy(role) or set(_attached(role)) != set(role.managed):
            raise VerificationFailed(f"{role.name} may do {policy} and {_attached(role)}, expected what was planned")


def _attached(role: Role) -> list[str]:
    found = _iam().list_attached_role_policies(RoleName=role.name)["AttachedPolicies"]
    return [one["PolicyArn"] for one in found]


def _iam() -> "IAMClient":
    client: IAMClient = aws.client("iam")
    return client
