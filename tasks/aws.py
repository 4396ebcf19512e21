"""boto3 clients. Credentials, region and endpoint come from the standard AWS_* variables."""

import re
from collections.abc import Callable
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
# What an operation's name begins with when it only looks, or only tells somebody of it.
LOOKS = re.compile(
    "Assume|BatchGet|Decode|Describe|Download|Estimate|Filter|Get|Head|List|Lookup|Scan|Search|Select|Simulate"
    "|StartQuery|StopQuery|Query$"
)
_creating = Lock()  # boto3 clients may be shared by threads, but not created by two at once


def client(service: str, region: str | None = None) -> Any:
    """The process's one client of an AWS service; of another region's, where one is given."""
    with _creating:
        return _client(service, region or REGIONS.get(service))


@cache
def _client(service: str, region: str | None) -> Any:
    made = boto3.client(service, config=CONFIG, region_name=region)  # type: ignore[call-overload]
    made.meta.events.register("before-send", _name_the_caller)
    made.meta.events.register("before-call", _before_changes)
    return made


def require_before_changes(demand: Callable[[], None]) -> None:
    """From now on it is called before each call that would change something, and may raise why not."""
    _demands.append(demand)


def forget_before_changes(demand: Callable[[], None]) -> None:
    if demand in _demands:
        _demands.remove(demand)


_demands: list[Callable[[], None]] = []


def _before_changes(model: Any, **_: Any) -> None:
    """But for DynamoDB, in which the leases themselves are kept, and nothing else by us."""
    if model.service_model.service_name == "dynamodb" or LOOKS.match(model.name):
        return
    for demand in tuple(_demands):
        demand()


def _name_the_caller(request: Any, **_: Any) -> None:
    """The User-Agent is not among the headers that are signed."""
    agent = request.headers["User-Agent"]
    request.headers["User-Agent"] = f"{agent.decode() if isinstance(agent, bytes) else agent} {caller.get()}"


def region() -> str:
    """The region that the standard variables or the profile name."""
    name: str = client("sts").meta.region_name
    return name
