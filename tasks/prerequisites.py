"""What an operator needs before anything else works (P01): tools, an identity, and each permission."""

import re
import shutil
import sys
from collections.abc import Callable, Mapping

from botocore.exceptions import ClientError

from tasks import aws, permissions, terraform
from tasks.errors import PreconditionFailed
from tasks.finding import Attention, Finding, judge
from tasks.kinds import probe
from tasks.state_backend import bucket_exists

OLDEST_PYTHON = (3, 11)
ASSUMED = re.compile(r"arn:aws:sts::\d+:assumed-role/([^/]+)/.+")


@probe
def check_prerequisite(name: str) -> Finding:
    return judge(name, PREREQUISITES[name])


def _python() -> str:
    if sys.version_info < OLDEST_PYTHON:
        raise PreconditionFailed(f"this is Python {sys.version.split()[0]}, expected 3.11 or newer: make setup")
    return sys.version.split()[0]


def _docker() -> str:
    found = shutil.which("docker")
    if not found:
        raise Attention("no docker on the PATH: only building images on this machine needs it")
    return found


def _identity() -> str:
    arn: str = aws.client("sts").get_caller_identity()["Arn"]
    if arn.endswith(":root"):
        raise Attention(f"{arn}: use a role or a user with MFA, never the account's root")
    return arn


def _backend() -> str:
    bucket = terraform.state_bucket()
    if not bucket_exists(bucket):
        raise PreconditionFailed(f"no bucket {bucket}, expected one: python -m flows.set_up_account")
    return bucket


def _permissions() -> str:
    principal, denied = _simulate(permissions.EVERYDAY)
    if denied:
        raise PreconditionFailed(f"{principal} may not {', '.join(denied)}: ask for these permissions")
    return f"{principal} may do all of {len(list(permissions.actions(permissions.EVERYDAY)))} actions asked for"


def _permissions_to_set_up() -> str:
    principal, denied = _simulate(permissions.SET_UP)
    if denied:
        raise Attention(f"{principal} may not {', '.join(denied)}: only set_up_... flows need these")
    return f"{principal} may set an account up"


def _simulate(table: Mapping[str, str]) -> tuple[str, list[str]]:
    """Who we are to IAM, and what of the table that one may not do."""
    identity = aws.client("sts").get_caller_identity()
    principal = identity["Arn"]
    try:
        principal = _entity(principal)
        return principal, _denied(principal, identity["Account"], table)
    except ClientError as error:
        raise Attention(f"IAM would not simulate {principal}'s policies, so they are unknown: {error}") from error


def _entity(arn: str) -> str:
    """IAM simulates the policies of a role, not those of a session of it."""
    session = ASSUMED.fullmatch(arn)
    return str(aws.client("iam").get_role(RoleName=session[1])["Role"]["Arn"]) if session else arn


def _denied(principal: str, account: str, table: Mapping[str, str]) -> list[str]:
    by_resource: dict[str, list[str]] = {}
    for action in permissions.actions(table):
        by_resource.setdefault(permissions.resource_of(action, account, aws.region()), []).append(action)
    simulate = aws.client("iam").get_paginator("simulate_principal_policy").paginate
    return sorted(
        answer["EvalActionName"]
        for resource, actions in by_resource.items()
        for page in simulate(PolicySourceArn=principal, ActionNames=actions, ResourceArns=[resource])
        for answer in page["EvaluationResults"]
        if answer["EvalDecision"] != "allowed"
    )


PREREQUISITES: dict[str, Callable[[], str]] = {
    "python": _python,
    "terraform": terraform.require_terraform.fn,
    "docker": _docker,
    "identity": _identity,
    "state backend": _backend,
    "permissions": _permissions,
    "permissions to set up": _permissions_to_set_up,
}
