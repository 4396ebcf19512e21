"""Outputs, and their mirror in SSM: complete, equal, and without anything that a deployment changes."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tasks.environment import Environment, parameter_name
from tests.terraform.test_code import blocks

ENVIRONMENTS = pytest.mark.parametrize("environment", ["dev", "prod"])
ABSENT = {"backup_replica_arn", "ssl_certificate_arn"}  # until there is a replica, a certificate
RUNBOOK = {
    "alb_arn",
    "alb_url",
    "asg_name",
    "cloudwatch_dashboard_url",
    "db_endpoint",
    "db_secret_arn",
    "ssl_certificate_arn",
    "target_group_arn",
}

Plan = Callable[[str], dict[str, Any]]
All = Callable[[str, str], dict[str, dict[str, Any]]]


def declared(source: Path) -> dict[str, str]:
    return {name: body for _, name, body in blocks((source / "environments/dev/outputs.tf").read_text())}


def test_the_runbook_finds_every_output_it_asks_for(source: Path) -> None:
    assert declared(source).keys() >= RUNBOOK


def test_the_flows_find_every_output_they_ask_for(source: Path) -> None:
    wanted = {field.name for field in fields(Environment)} - {"environment"}
    assert declared(source).keys() >= wanted


@ENVIRONMENTS
def test_every_output_is_mirrored(resources: All, source: Path, environment: str) -> None:
    mirrored = {parameter["name"] for parameter in resources(environment, "aws_ssm_parameter").values()}
    expected = declared(source).keys() - ABSENT
    assert mirrored == {parameter_name(environment, name) for name in expected}


def test_an_output_is_the_mirrored_value_itself(source: Path) -> None:
    """Each output reads its own entry of the one map that is mirrored: the two cannot differ."""
    for name, body in declared(source).items():
        (value,) = re.findall(r"^  value\s+= (.*)$", body, re.MULTILINE)
        assert value in (f"local.outputs.{name}", f'lookup(local.outputs, "{name}", null)')


@ENVIRONMENTS
def test_a_known_value_is_mirrored_as_it_is_or_as_json(planned: Plan, resources: All, environment: str) -> None:
    outputs = planned(environment)["output_changes"]
    mirror = {
        p["name"].rpartition("/")[2]: p.get("value") for p in resources(environment, "aws_ssm_parameter").values()
    }
    assert mirror["region"] == outputs["region"]["after"] == "eu-north-1"
    assert mirror["asg_max_size"] == str(outputs["asg_max_size"]["after"])
    assert mirror["asg_name"] == outputs["asg_name"]["after"]


@ENVIRONMENTS
def test_nothing_that_a_deployment_changes_is_an_output(planned: Plan, environment: str) -> None:
    """Else the plan after a deployment would never be empty."""
    outputs = planned(environment)["output_changes"]
    assert "sha256" not in str(outputs)
    assert not {"image", "launch_template_version"} & outputs.keys()
