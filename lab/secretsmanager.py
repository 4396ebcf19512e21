"""Secrets Manager: no rotation without a function, versions that don't change, deletion with a way back."""

import re
import time
from typing import Any

from moto.rds.models import rds_backends
from moto.secretsmanager.exceptions import SecretsManagerClientError
from moto.secretsmanager.models import SecretsManagerBackend, secretsmanager_backends

from lab.extend import AWSError, Method, around
from lab.lab import ACCOUNT, REGION, Lab

DAY_SECONDS = 24 * 3600
RECOVERY_DAYS = 30
OWNER_TAG = "aws:rds:primaryDBInstanceArn"
NO_FUNCTION = "No Lambda rotation function ARN is associated with this secret."
NOT_INVOKED = (
    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to "
    "the principal secretsmanager.amazonaws.com."
)
MARKED = "You can't perform this operation on the secret because it was marked for deletion."


class SecretsManager:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def install(self) -> None:
        SecretsManagerBackend.rotate_secret = _rotate
        around(SecretsManagerBackend, "put_secret_value")(_put_value)
        around(SecretsManagerBackend, "get_secret_value")(_get_value)
        around(SecretsManagerBackend, "create_secret")(_create)
        around(SecretsManagerBackend, "delete_secret")(self._delete)
        around(SecretsManagerClientError, "__init__")(_say_it_once)

    def tick(self) -> None:
        """A recovery window ends on the lab's clock."""
        secrets = secretsmanager_backends[ACCOUNT][REGION].secrets
        for secret in list(secrets.values()):
            if secret.is_deleted() and time.monotonic() > getattr(secret, "recoverable_until", float("inf")):
                secrets.pop(secret.name)

    def reset(self) -> None:
        """Secrets are moto's plain data."""

    def _delete(self, original: Method, backend: Any, *args: Any, **asked: Any) -> Any:
        answer = original(backend, *args, **asked)
        secret = backend.secrets.get(answer[0])
        if secret is not None and secret.is_deleted():
            days = asked.get("recovery_window_in_days") or RECOVERY_DAYS
            secret.recoverable_until = self.lab.clock.deadline(days * DAY_SECONDS)
        return answer


def _rotate(backend: Any, secret_id: str, **asked: Any) -> str:
    """moto moves AWSCURRENT to a version without a value; the lab runs no function that would fill it."""
    secret = backend.describe_secret(secret_id)
    if secret.is_deleted():
        raise AWSError("InvalidRequestException", MARKED)
    if owner := _owning_database(backend, secret):
        _rotate_managed(owner)
        return str(secret.to_short_dict())
    if asked.get("rotation_lambda_arn") or getattr(secret, "rotation_lambda_arn", ""):
        raise AWSError("AccessDeniedException", NOT_INVOKED)
    raise AWSError("InvalidRequestException", NO_FUNCTION)


def _owning_database(backend: Any, secret: Any) -> Any:
    """The DB instance whose master password RDS keeps in this secret."""
    arns = [tag["Value"] for tag in secret.tags or [] if tag["Key"] == OWNER_TAG]
    databases = rds_backends[backend.account_id][backend.region_name].databases.values() if arns else ()
    return next((db for db in databases if db.arn in arns), None)


def _rotate_managed(db: Any) -> None:
    request = {"rotate_master_user_password": True, "apply_immediately": True}
    db.backend.modify_db_instance(db.db_instance_identifier, request)


def _put_value(original: Method, backend: Any, **asked: Any) -> Any:
    secret = backend.secrets.get(asked["secret_id"])
    if secret is not None and secret.is_deleted():
        raise AWSError("InvalidRequestException", MARKED)
    token = asked.get("client_request_token")
    version = secret.versions.get(token, {}) if secret is not None and token else {}
    if {"secret_string", "secret_binary"} & set(version):
        _require_same_value(secret, token, version, asked)
        return secret.to_short_dict(include_version_stages=True, version_id=token)
    return original(backend, **asked)


def _require_same_value(secret: Any, token: str | None, version: Any, asked: Any) -> None:
    if any(version.get(name) != asked.get(name) for name in ("secret_string", "secret_binary")):
        raise AWSError(
            "ResourceExistsException",
            f"You can't use ClientRequestToken {token} because that value is already in use for a version of "
            f"secret {secret.arn}.",
        )


def _get_value(original: Method, backend: Any, secret_id: str, version_id: str, version_stage: str) -> Any:
    secret = backend.describe_secret(secret_id)
    if secret.is_deleted():
        raise AWSError("InvalidRequestException", MARKED)
    stages = {stage for version in secret.versions.values() for stage in version["version_stages"]}
    if version_stage and not version_id and version_stage not in stages:
        raise AWSError(
            "ResourceNotFoundException",
            f"Secrets Manager can't find the specified secret value for staging label: {version_stage}",
        )
    return original(backend, secret_id, version_id, version_stage)


def _create(original: Method, backend: Any, **asked: Any) -> Any:
    existing = backend.secrets.get(asked["name"])
    if existing is not None and existing.is_deleted():
        raise AWSError(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )
    return original(backend, **asked)


def _say_it_once(original: Method, self: Any, error: str, message: str, **more: Any) -> None:
    """moto writes boto3's own words into some messages, and the line breaks of its source."""
    plain = re.sub(r"^.*when calling the \w+ operation: ", "", re.sub(r"\s+", " ", message))
    original(self, error, plain, **more)
