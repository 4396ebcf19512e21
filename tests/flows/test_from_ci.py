"""The scripts of the workflows, each as it stands there, against a Prefect worker and the lab."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect import get_client

from deployments import comment, run
from deployments.server import ensure_work_pool
from tasks import aws
from tasks.environment import PROJECT
from tests.github import GitHub, serving
from tests.stack import LIGHT, ROOT, Stack
from tests.workflows import Run

DOCKER = """#!/usr/bin/env bash
# Stands for Docker where there is no daemon: a push builds and pushes into the lab's registry.
set -euo pipefail
case $1 in
  build | tag) ;;
  login) test -n "$(cat)" ;;
  push)
    cd {root}
    {python} -m lab --home {home} push {light} --repository {project} --target app \\
      --tag "${{2##*:}}" --build-arg VERSION="${{2##*:}}" ;;
  *) exit 64 ;;
esac
"""
STARTED = [f"flows.{name}.{name}" for name in ("deploy_infrastructure", "deploy_application")]
SHA = "a" * 40


@pytest.fixture(scope="module")
def registered(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server, knowing the two deployments that the workflows start."""
    index = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    index["deployments"] = [
        one for one in index["deployments"] if one["entrypoint"] in STARTED and one["name"] == "dev"
    ]
    file = tmp_path_factory.mktemp("index") / "prefect.yaml"
    file.write_text(yaml.safe_dump(index))
    with get_client(sync_client=True) as client:
        ensure_work_pool(client)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return prefect_server


@contextmanager
def worker(environment: Mapping[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "runbook", "--type", "process"]
    quick = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env={**environment, **quick}, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def as_a_runner(lab: Mapping[str, Any], server: str, folder: Path) -> dict[str, str]:
    """The variables of a script: the lab as AWS, our Python and the stand-in for Docker first on the PATH."""
    tools = folder / "tools"
    tools.mkdir()
    docker = DOCKER.format(root=ROOT, python=sys.executable, home=lab["home"], light=LIGHT, project=PROJECT)
    (tools / "docker").write_text(docker)
    (tools / "docker").chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, **lab["env"], "PATH": path, "PYTHONPATH": str(ROOT), "PREFECT_API_URL": server}


def commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.exhaustive
def test_a_change_to_terraform_is_shown_once_and_merged_is_applied(
    registered: str, built: dict[str, Any], tmp_path: Path
) -> None:
    logs, group = aws.client("logs"), f"/aws/ec2/{PROJECT}-dev"
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    environment = as_a_runner(built, registered, tmp_path)
    with serving(GitHub("acme/shop", "t0ken")) as github:
        contexts = {"github": {"token": github.token, "event": {"pull_request": {"number": 7}}}}
        own = {"GITHUB_REPOSITORY": github.name, "GITHUB_API_URL": github.url}
        plan = Run("terraform-plan", contexts, {**environment, **own}, tmp_path)
        plan.carry_out()
        with httpx.Client(base_url=github.url, headers={"Authorization": f"Bearer {github.token}"}) as again:
            comment.show(again, f"/repos/{github.name}", 7, "terraform-plan", (tmp_path / "plan.md").read_text())
    (shown,) = github.comments
    for part in ("aws_cloudwatch_log_group.main", "policy: nothing is lost", "cost: no resource"):
        assert part in shown["body"]
    with worker(environment):
        merged = {
            "github": {"sha": commit(), "run_id": "1", "run_attempt": "1"},
            "vars": {"PREFECT_API_URL": registered},
        }
        apply = Run("terraform-apply", merged, environment, tmp_path)
        apply.carry_out()
    assert apply.contexts["needs"]["plan"]["outputs"]["plan"] in apply.said["Apply"]
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["retentionInDays"] == 14


@pytest.mark.exhaustive
def test_a_change_to_the_application_is_built_pushed_and_rolled_out_by_its_digest(
    registered: str, stack: Stack, tmp_path: Path
) -> None:
    environment = as_a_runner(stack.lab, registered, tmp_path)
    pushed = {"github": {"sha": SHA, "event_name": "push", "run_id": "2", "run_attempt": "1"}}
    pushed["vars"] = {"PREFECT_API_URL": registered}
    with worker(environment):
        Run("application", pushed, environment, tmp_path).carry_out()
        assert stack.served() == {SHA}
        image = f"image={stack.push('1.0.0')}"
        assert start("deploy-application/dev", image, "approved_plan=000000000000") == 3
        assert start("deploy-application/dev", f"image=sha256:{'0' * 64}") == 1
    assert stack.served() == {SHA}


@pytest.mark.parametrize(
    ("deployment", "parameter", "told"),
    [
        ("deploy-application/staging", "image=sha256:0", "deploy-application/dev"),
        ("deploy-application/dev", "picture=sha256:0", "no parameter picture"),
        ("deploy-application/dev", "batch_percentage=101", "was refused"),
    ],
)
def test_what_cannot_be_started_is_wrong_use_and_starts_nothing(
    registered: str, deployment: str, parameter: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(deployment, parameter) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Nothing was started" in said


def start(deployment: str, *parameters: str) -> int:
    return run.main([deployment, *(word for parameter in parameters for word in ("--param", parameter))])
