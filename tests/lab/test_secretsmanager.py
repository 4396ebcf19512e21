"""Secrets Manager refuses what AWS refuses, and never loses the current value."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

TOKEN = "a" * 32


@pytest.fixture
def secrets(client: Callable[..., Any]) -> Any:
    return client("secretsmanager")


def refusal(call: Callable[..., Any], **asked: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**asked)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_rotation_without_a_function_is_refused_and_changes_nothing(secrets: Any) -> None:
    secrets.create_secret(Name="database", SecretString="first")
    code, message = refusal(secrets.rotate_secret, SecretId="database")
    assert (code, message) == (
        "InvalidRequestException",
        "No Lambda rotation function ARN is associated with this secret.",
    )
    assert secrets.get_secret_value(SecretId="database")["SecretString"] == "first"
    stages = secrets.describe_secret(SecretId="database")["VersionIdsToStages"]
    assert list(stages.values()) == [["AWSCURRENT"]]


def test_rotation_by_a_function_that_can_not_be_invoked_leaves_no_pending_version(secrets: Any) -> None:
    secrets.create_secret(Name="database", SecretString="first")
    arn = "arn:aws:lambda:eu-north-1:123456789012:function:rotate"
    code, _ = refusal(secrets.rotate_secret, SecretId="database", RotationLambdaARN=arn)
    assert code == "AccessDeniedException"
    assert len(secrets.describe_secret(SecretId="database")["VersionIdsToStages"]) == 1


def test_the_same_token_and_value_put_twice_make_one_version(secrets: Any) -> None:
    secrets.create_secret(Name="database", SecretString="first")
    for _ in range(2):
        put = secrets.put_secret_value(SecretId="database", SecretString="second", ClientRequestToken=TOKEN)
        assert put["VersionId"] == TOKEN
    versions = secrets.describe_secret(SecretId="database")["VersionIdsToStages"]
    assert sorted(versions.values()) == [["AWSCURRENT"], ["AWSPREVIOUS"]]
    assert secrets.get_secret_value(SecretId="database", VersionStage="AWSPREVIOUS")["SecretString"] == "first"


@pytest.mark.parametrize("stages", [["AWSCURRENT"], ["AWSPENDING"]])
def test_a_version_that_has_a_value_can_not_get_another_one(secrets: Any, stages: list[str]) -> None:
    secrets.create_secret(Name="database", SecretString="first")
    asked = {"SecretId": "database", "ClientRequestToken": TOKEN, "VersionStages": stages}
    secrets.put_secret_value(SecretString="second", **asked)
    code, message = refusal(secrets.put_secret_value, SecretString="third", **asked)
    assert code == "ResourceExistsException"
    assert message.startswith(f"You can't use ClientRequestToken {TOKEN}")
    assert secrets.get_secret_value(SecretId="database", VersionId=TOKEN)["SecretString"] == "second"


def test_a_value_that_is_not_there_is_named_in_the_refusal(secrets: Any) -> None:
    secrets.create_secret(Name="database", SecretString="first")
    assert refusal(secrets.get_secret_value, SecretId="nothing") == (
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret.",
    )
    assert refusal(secrets.get_secret_value, SecretId="database", VersionStage="AWSPENDING") == (
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret value for staging label: AWSPENDING",
    )


def test_a_deleted_secret_is_closed_keeps_its_name_and_comes_back_whole(secrets: Any) -> None:
    secrets.create_secret(Name="database", SecretString="first")
    secrets.delete_secret(SecretId="database", RecoveryWindowInDays=7)
    code, message = refusal(secrets.get_secret_value, SecretId="database")
    assert (code, message) == (
        "InvalidRequestException",
        "You can't perform this operation on the secret because it was marked for deletion.",
    )
    assert refusal(secrets.put_secret_value, SecretId="database", SecretString="x")[0] == code
    assert refusal(secrets.create_secret, Name="database", SecretString="x") == (
        "InvalidRequestException",
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
    )
    secrets.restore_secret(SecretId="database")
    assert secrets.get_secret_value(SecretId="database")["SecretString"] == "first"


def test_the_recovery_window_is_between_seven_and_thirty_days(secrets: Any) -> None:
    secrets.create_secret(Name="database", SecretString="first")
    code, message = refusal(secrets.delete_secret, SecretId="database", RecoveryWindowInDays=6)
    assert code == "InvalidParameterException"
    assert message == "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."


def test_a_secret_deleted_without_recovery_frees_its_name(secrets: Any) -> None:
    secrets.create_secret(Name="database", SecretString="first")
    secrets.delete_secret(SecretId="database", ForceDeleteWithoutRecovery=True)
    secrets.create_secret(Name="database", SecretString="second")
    assert secrets.get_secret_value(SecretId="database")["SecretString"] == "second"
