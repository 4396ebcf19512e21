"""Whoever calls AWS in this process."""

from typing import Any

import boto3
import pytest

from tasks import aws

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AccessKeyId",
    "AWS_SECRET_ACCESS_KEY": "SecretAccessKey",
    "AWS_SESSION_TOKEN": "SessionToken",
}


def become(sts: Any, role: str, name: str, patch: pytest.MonkeyPatch) -> None:
    """From now on, until `patch` is undone, it is that session of the role."""
    given = sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
    for variable, key in VARIABLES.items():
        patch.setenv(variable, given[key])
    patch.setattr(boto3, "DEFAULT_SESSION", None)
    aws._client.cache_clear()
