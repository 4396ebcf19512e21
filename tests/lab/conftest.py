"""A lab for the tests of one file, quicker than the session's: RDS takes AWS's minutes for most of what it does."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.running import running_lab

SPEED = 200.0


@pytest.fixture(scope="module")
def quick_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with running_lab(tmp_path_factory.mktemp("rds") / "home", SPEED) as running:
        yield running


@pytest.fixture(scope="module")
def quick_client(quick_lab: dict[str, Any]) -> Callable[..., Any]:
    session = boto3.session.Session(
        aws_access_key_id=quick_lab["env"]["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=quick_lab["env"]["AWS_SECRET_ACCESS_KEY"],
        region_name=quick_lab["env"]["AWS_REGION"],
    )
    settings = Config(retries={"total_max_attempts": 1})
    return lambda service, **more: session.client(service, endpoint_url=quick_lab["url"], config=settings, **more)


@pytest.fixture(scope="module")
def rds(quick_client: Callable[[str], Any]) -> Any:
    return quick_client("rds")
