"""A lab for the tests of one file, quicker than the session's: RDS takes AWS's minutes for most of what it does."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

PROJECT = Path(__file__).parents[2]
SPEED = "200"


@pytest.fixture(scope="module")
def quick_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    home = tmp_path_factory.mktemp("rds") / "home"
    command = [sys.executable, "-m", "lab", "--home", str(home)]
    subprocess.run([*command, "up", "--speed", SPEED], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    try:
        yield {"home": str(home), **json.loads((home / "lab.json").read_text())}
    finally:
        subprocess.run([*command, "down"], cwd=PROJECT, check=True)


@pytest.fixture(scope="module")
def quick_client(quick_lab: dict[str, Any]) -> Callable[[str], Any]:
    session = boto3.session.Session(
        aws_access_key_id=quick_lab["env"]["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=quick_lab["env"]["AWS_SECRET_ACCESS_KEY"],
        region_name=quick_lab["env"]["AWS_REGION"],
    )
    settings = Config(retries={"total_max_attempts": 1})
    return lambda service: session.client(service, endpoint_url=quick_lab["url"], config=settings)


@pytest.fixture(scope="module")
def rds(quick_client: Callable[[str], Any]) -> Any:
    return quick_client("rds")
