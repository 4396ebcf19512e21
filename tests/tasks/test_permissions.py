"""What an operator is asked to be permitted is what the code calls, neither less nor more."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import botocore.session
from botocore import xform_name

from tasks.permissions import EVERYDAY, SET_UP, actions, resource_of

TASKS = Path(__file__).parents[2] / "tasks"
SESSION = botocore.session.get_session()
PREFIXES = {"elbv2": "elasticloadbalancing", "resourcegroupstaggingapi": "tag"}
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
IN_S3 = {
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
# Parts of other calls, of Terraform's, and of what the runbook has people do.
NOT_CALLED = {
    "ec2:CreateTags",
    "iam:PassRole",
    "rds:StartDBInstanceAutomatedBackupsReplication",
    "ssm:StartSession",
}
BY_NAME = "ce"  # asked through tasks.cost_explorer, by whoever knows an operation's name
TAGS = {"list_tags_for_resource"}  # of other services too


def words_of(path: Path) -> set[str]:
    """Attributes and strings: the names of methods, paginators, waiters and services among them."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@cache
def methods(service: str) -> dict[str, str]:
    """Operations by the names of a client's methods, and of its waiters."""
    found = {xform_name(name): name for name in SESSION.get_service_model(service).operation_names}
    if service in SESSION.get_component("data_loader").list_available_services("waiters-2"):
        waiters = SESSION.get_waiter_model(service)
        found |= {xform_name(name): waiters.get_waiter(name).operation for name in waiters.waiter_names}
    return found


def called() -> set[str]:
    """By file: whoever names a service and one of its methods calls it."""
    found: dict[str, set[str]] = defaultdict(set)
    services = set(SESSION.get_available_services())
    for path in TASKS.glob("*.py"):
        words = words_of(path)
        for service in words & services:
            found[service] |= {methods(service)[word] for word in words if word in methods(service)}
        found[BY_NAME] |= {methods(BY_NAME)[word] for word in words & set(methods(BY_NAME)) - TAGS}
    return {
        f"{PREFIXES.get(service, service)}:{IN_S3.get(name, name) if service == 's3' else name}"
        for service, names in found.items()
        for name in names
    }


def test_what_is_asked_for_is_what_the_code_calls() -> None:
    asked = {*actions(EVERYDAY), *actions(SET_UP)}
    assert called() - asked == set(), "the code calls these: add them to tasks/permissions.py"
    assert asked - called() == NOT_CALLED, "nothing calls these: take them off tasks/permissions.py"


def test_what_only_setting_up_needs_is_not_asked_of_everybody() -> None:
    assert not set(actions(EVERYDAY)) & set(actions(SET_UP))


def test_what_policies_name_is_asked_of_a_thing_of_that_name() -> None:
    def of(action: str) -> str:
        return resource_of(action, "123456789012", "eu-north-1")

    assert of("s3:PutObject") == "arn:aws:s3:::demo-flask-app-x/x"
    assert of("s3:ListBucket") == "arn:aws:s3:::demo-flask-app-x"
    assert of("iam:CreateRole") == "arn:aws:iam::123456789012:role/demo-flask-app-x"
    assert of("iam:CreateOpenIDConnectProvider").endswith("oidc-provider/token.actions.githubusercontent.com")
    assert of("secretsmanager:ListSecrets") == of("rds:ModifyDBInstance") == "*"
