"""boto3 clients. Credentials, region and endpoint come from the standard AWS_* variables."""

from functools import cache
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config

CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=5,
    read_timeout=30,
    user_agent_extra="runbook",
)
# These answer for all regions, and only there.
REGIONS = dict.fromkeys(("ce", "pricing", "cost-optimization-hub"), "us-east-1")
_creating = Lock()  # boto3 clients may be shared by threads, but not created by two at once


def client(service: str) -> Any:
    """The process's one client of an AWS service."""
    with _creating:
        return _client(service)


@cache
def _client(service: str) -> Any:
    return boto3.client(service, config=CONFIG, region_name=REGIONS.get(service))  # type: ignore[call-overload]


def region() -> str:
    """The region that the standard variables or the profile name."""
    name: str = client("sts").meta.region_name
    return name
