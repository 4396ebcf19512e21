"""AWS Secrets Manager: the credentials of databases. Values stay in this file's callers, never in a log or a result."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from tasks import aws
from tasks.environment import PROJECT
from tasks.kinds import action
from tasks.residue import as_list

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

PASSWORD_LENGTH = 32


def secret_name(environment: str) -> str:
    return f"{PROJECT}-{environment}-db"


def verifier_secret_name(environment: str) -> str:
    return f"{secret_name(environment)}-verifier"


def read_database_password(environment: str) -> SecretStr | None:
    """The password that the environment's secret holds now, or None when it has no value yet."""
    found = read_value(secret_name(environment))
    return SecretStr(found["password"]) if found else None


def read_value(name: str) -> dict[str, Any] | None:
    """The JSON that a secret holds now, or None when there is no such secret, no value in it yet, or it is deleted."""
    secrets = _secrets()
    try:
        found = secrets.get_secret_value(SecretId=name)
    except secrets.exceptions.ResourceNotFoundException:
        return None
    except secrets.exceptions.InvalidRequestException:  # marked as deleted
        return None
    value: dict[str, Any] = json.loads(found["SecretString"])
    return value


def write_value(name: str, description: str, value: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Make the secret, or give the one that is there this value; its ARN."""
    secrets, text = _secrets(), json.dumps(dict(value))
    try:
        made = secrets.create_secret(Name=name, Description=description, SecretString=text, Tags=as_list(tags))
    except secrets.exceptions.ResourceExistsException:
        return secrets.put_secret_value(SecretId=name, SecretString=text)["ARN"]
    return made["ARN"]


@action
def correct_address(environment: str, host: str, port: int) -> None:
    """Let the database's secret, once it has a value, say where the database is; a true one stays as it is."""
    name = secret_name(environment)
    value = read_value(name)
    if value and (value["host"], value["port"]) != (host, port):
        changed = json.dumps({**value, "host": host, "port": port})
        _secrets().put_secret_value(SecretId=name, SecretString=changed)


def make_password() -> SecretStr:
    """A new random password that PostgreSQL, RDS and a connection URL take as it is."""
    made = _secrets().get_random_password(PasswordLength=PASSWORD_LENGTH, ExcludePunctuation=True)
    return SecretStr(made["RandomPassword"])


@action
def delete_temporary_secret(name: str) -> None:
    """At once: what it opens is about to be gone, and nobody will want it back."""
    secrets = _secrets()
    try:
        secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    except secrets.exceptions.ResourceNotFoundException:
        pass  # that is what is wanted


def has_current_value(secret_arn: str) -> bool:
    """Whether a version is labelled AWSCURRENT; its value is not read."""
    versions = _secrets().describe_secret(SecretId=secret_arn).get("VersionIdsToStages", {})
    return any("AWSCURRENT" in stages for stages in versions.values())


def _secrets() -> "SecretsManagerClient":
    client: SecretsManagerClient = aws.client("secretsmanager")
    return client
