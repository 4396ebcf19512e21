"""A lab in processes of its own, for as long as a fixture needs it, and its clients."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).parents[1]


@contextmanager
def running_lab(home: Path, speed: float = 50.0) -> Iterator[dict[str, Any]]:
    """As its lab.json tells it (url, env, pid, speed), and its home."""
    command = [sys.executable, "-m", "lab", "--home", str(home)]
    subprocess.run([*command, "up", "--speed", str(speed)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    try:
        yield {"home": str(home), **json.loads((home / "lab.json").read_text())}
    finally:
        subprocess.run([*command, "down"], cwd=ROOT, check=True)


def clients_of(lab: dict[str, Any]) -> Callable[..., Any]:
    """`clients_of(lab)("rds")`: one that asks once. Each is made once, as that takes longer than many a test."""
    return _clients(lab["url"], lab["env"]["AWS_REGION"])


@cache
def _clients(url: str, region: str) -> Callable[..., Any]:
    session = boto3.session.Session("testing", "testing", region_name=region)

    @cache
    def make(service: str, **config: Any) -> Any:
        once = Config(retries={"total_max_attempts": 1}, **config)
        return session.client(service, endpoint_url=url, config=once)

    return make
