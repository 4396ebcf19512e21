"""What to run by hand when nothing else can: the next command of a procedure, from the state of AWS now (N14).

A procedure resumes by looking at the world. So its first call that would change something is what comes next, wherever
a dead run or a person's hands have left it: it is printed, and nothing is done.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore import xform_name

from tasks import aws
from tasks.errors import RunbookError

# Whose changes all go through AWS's API. SQL and Terraform can't be told in one line each.
BY_HAND = (
    "deploy-application",
    "end-emergency",
    "fail-over-database",
    "mute-alarms",
    "patch-instances",
    "refresh-instances",
    "rollback-application",
    "scale-up",
    "snapshot-database",
)
SECRET = re.compile("Password|SecretString|SecretBinary")
CLI_NAMES = {"s3": "s3api"}


class StoppedBeforeChange(RunbookError):
    """The next step would change something, and only its command was asked for. Nothing was changed."""


@dataclass
class Stop:
    """The first command; what a procedure would do because it was stopped is none of it."""

    command: str = ""

    def before_change(self, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        self.command = self.command or command_line(service, operation, parameters)
        raise StoppedBeforeChange(f"the next command is: {self.command}")


@contextmanager
def stopping_before_changes() -> Iterator[Stop]:
    stop = Stop()
    aws.require_before_changes(stop.before_change)
    try:
        yield stop
    finally:
        aws.forget_before_changes(stop.before_change)


def command_line(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    """As the AWS CLI takes it, for a shell."""
    if service in ("terraform", "github"):
        return f"# {service}: {operation} {json.dumps(parameters, default=str)}"
    options = [word for name, value in parameters.items() for word in _option(name, value)]
    body = parameters.get("Body")
    line = " ".join(["aws", CLI_NAMES.get(service, service), xform_name(operation, "-"), *options])
    if body is None:
        return line
    return f"{line} <<'END'\n{body.decode() if isinstance(body, bytes) else body}\nEND"


def _option(name: str, value: Any) -> Iterator[str]:
    option = xform_name(name, "-")
    if isinstance(value, bool):
        yield f"--{option}" if value else f"--no-{option}"
        return
    yield f"--{option}"
    if name == "Body":
        yield "/dev/stdin"
    elif SECRET.search(name):
        yield '"$SECRET"'  # which is in nobody's terminal, log or report
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        yield from map(shlex.quote, value)
    elif isinstance(value, list | dict):
        yield shlex.quote(json.dumps(value, default=_plain))
    else:
        yield shlex.quote(_plain(value))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
