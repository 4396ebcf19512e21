"""What Terraform built, as the runbook sees it: its outputs, mirrored as SSM parameters."""

import json
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from tasks import aws
from tasks.errors import PreconditionFailed
from tasks.kinds import probe

PROJECT = "demo-flask-app"  # terraform's project_name; a test compares the two
EnvironmentName = Literal["dev", "prod"]


@dataclass(frozen=True)
class Environment:
    """Each field but the first is a Terraform output of the same name."""

    environment: str
    region: str
    alb_url: str
    alb_arn: str
    target_group_arn: str
    asg_name: str
    launch_template_id: str
    ecr_repository_url: str
    db_identifier: str
    db_secret_arn: str
    backup_bucket: str
    export_role_arn: str
    export_kms_key_arn: str
    log_group_name: str
    dashboard_name: str
    domain_name: str
    critical_alarm_names: tuple[str, ...]
    warning_alarm_names: tuple[str, ...]
    ssl_certificate_arn: str | None = None
    backup_replica_arn: str | None = None

    def __str__(self) -> str:
        return f"{PROJECT}-{self.environment}"


def parameter_name(environment: str, output: str) -> str:
    return f"/{PROJECT}/{environment}/{output}"


def find_parameter(environment: str, name: str) -> str | None:
    """What is kept under this name beside the outputs, or None."""
    ssm = aws.client("ssm")
    try:
        found = ssm.get_parameter(Name=parameter_name(environment, name))
    except ssm.exceptions.ParameterNotFound:
        return None
    return str(found["Parameter"]["Value"])


def keep_parameter(environment: str, name: str, value: str) -> None:
    """Beside the outputs, in place of what was there; SSM keeps its last hundred values."""
    aws.client("ssm").put_parameter(Name=parameter_name(environment, name), Value=value, Type="String", Overwrite=True)


def forget_parameter(environment: str, name: str) -> None:
    """What is not there is fine: that is what is wanted."""
    ssm = aws.client("ssm")
    try:
        ssm.delete_parameter(Name=parameter_name(environment, name))
    except ssm.exceptions.ParameterNotFound:
        pass


def read_outputs(environment: str) -> dict[str, Any]:
    """Every mirrored Terraform output, by its name."""
    return {name: _value(text) for name, text in read_parameters(environment).items()}


def read_parameters(environment: str, folder: str = "") -> dict[str, str]:
    """What is kept directly in a folder beside the outputs, by its name there."""
    pages = aws.client("ssm").get_paginator("get_parameters_by_path")
    return {
        parameter["Name"].rpartition("/")[2]: parameter["Value"]
        for page in pages.paginate(Path=parameter_name(environment, folder).rstrip("/"))
        for parameter in page["Parameters"]
    }


@probe
def describe_environment(environment: str) -> Environment:
    """Where everything is.

    Raises:
        PreconditionFailed: Terraform has not built this environment, or another version of it.
    """
    outputs = read_outputs(environment)
    wanted = [f for f in fields(Environment) if f.name != "environment"]
    required = [f.name for f in wanted if f.default is MISSING]
    if missing := [name for name in required if name not in outputs]:
        raise PreconditionFailed(
            f"{PROJECT}-{environment} has no SSM parameter {parameter_name(environment, missing[0])}"
            f" ({len(missing)} of {len(required)} are missing), expected all of Terraform's outputs."
            f" Build it first: python -m flows.deploy_infrastructure --environment {environment}"
        )
    found = {f.name: _frozen(outputs[f.name]) for f in wanted if f.name in outputs}
    return Environment(environment, **found)


def _value(text: str) -> Any:
    """Lists are mirrored as JSON; everything else is the text itself."""
    return json.loads(text) if text.startswith(("[", "{")) else text


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
