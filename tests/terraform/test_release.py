"""The seam between Terraform and a deployment: the user data, which both must read in the same way."""

import shlex
import subprocess
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.launch_template import IMAGE_IN_USER_DATA
from tests.terraform.conftest import run_tests

IMAGE = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app@sha256:" + "0123456789abcdef" * 4
SECRET = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:demo-flask-app-test-db"


@pytest.fixture(scope="module")
def user_data(initialized: Callable[[str], Path]) -> str:
    events = run_tests(initialized("modules/ec2"), "-verbose")
    plan: dict[str, Any] = next(e["test_plan"] for e in events if e["type"] == "test_plan")
    (template,) = [c for c in plan["resource_changes"] if c["type"] == "aws_launch_template"]
    return b64decode(template["change"]["after"]["user_data"]).decode()


def test_a_deployment_finds_exactly_one_image(user_data: str) -> None:
    assert IMAGE_IN_USER_DATA.findall(user_data) == [IMAGE]


def docker_run(user_data: str) -> str:
    """The script's last command, on one line."""
    assert user_data.count("docker run ") == 1
    return user_data[user_data.index("docker run ") :].replace("\\\n", " ")


def test_ends_in_one_docker_run_that_a_parser_can_read(user_data: str) -> None:
    words = shlex.split(docker_run(user_data))
    assert words[:3] == ["docker", "run", "-d"]
    assert words[3:-1] == [
        "--restart=always",
        *("--name", "app"),
        *("-p", "5000:5000"),
        "--log-driver=awslogs",
        *("--log-opt", "awslogs-region=eu-north-1"),
        *("--log-opt", "awslogs-group=/aws/ec2/demo-flask-app-test"),
        *("--log-opt", "awslogs-stream=$INSTANCE_ID"),
        *("-e", "AWS_REGION=eu-north-1"),
        *("-e", f"DB_SECRET_ARN={SECRET}"),
        *("-e", "INSTANCE_ID=$INSTANCE_ID"),
    ]
    assert words[-1] == IMAGE


def test_a_shell_reads_it_as_the_parser_does(user_data: str) -> None:
    last_command = user_data[user_data.index("docker run ") :]
    script = f'docker() {{ printf "%s\\n" "$@"; }}\nINSTANCE_ID=i-1\n{last_command}'
    printed = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout
    words = shlex.split(docker_run(user_data).replace("$INSTANCE_ID", "i-1"))
    assert printed.splitlines() == words[1:]


def test_holds_no_secret_and_is_a_shell_script(user_data: str) -> None:
    assert user_data.startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n"], input=user_data, check=True, text=True)
    assert "password" not in user_data.lower().replace("--password-stdin", "").replace("get-login-password", "")


def test_logs_to_where_the_runbook_looks(user_data: str) -> None:
    assert "/var/log/user-data.log" in user_data
