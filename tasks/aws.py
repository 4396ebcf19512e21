"""boto3 clients. Credentials, region and endpoint come from the standard AWS_* variables."""

from contextvars import ContextVar
from functools import cache
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config

CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=5,
    read_timeout=30,
)
# Which procedure and run each call is made for: CloudTrail keeps it, so that a change tells where it came from.
caller: ContextVar[str] = ContextVar("caller", default="runbook")
# These answer for all regions, and only there.
REGIONS = dict.fromkeys(("ce", "pricing", "cost-optimization-hub"), "us-east-1")
_creating = Lock()  # boto3 clients may be shared by threads, but not created by two at once


def client(service: str, region: str | None = None) -> Any:
    """The process's one client of an AWS service; of another region's, where one is given."""
    with _creating:
        return _client(service, region or REGIONS.get(service))


@cache
def _client(service: str, region: str | None) -> Any:
    made = boto3.client(service, config=CONFIG, region_name=region)  # type: ignore[call-overload]
    made.meta.events.register("before-send", _name_the_caller)
    return made


def _name_the_caller(request: Any, **_: Any) -> None:
    """The User-Agent is not among the headers that are signed."""
    agent = request.headers["User-Agent"]
    request.headers["User-Agent"] = f"{agent.decode() if isinstance(agent, bytes) else agent} {caller.get()}"


def region() -> str:
    """The region that the standard variables or the profile name."""
    name: str = client("sts").meta.region_name
    return name
