"""The lab's command line: python -m lab up | down | status | reset | env | push | publish-ami | load."""

import argparse
import json
import math
import os
import shlex
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError

import psutil

from lab import load, push, supervisor
from lab.supervisor import READY_FILE

START_SECONDS = 90.0
STOP_SECONDS = 30.0
DEFAULT_SPEED = 50.0


class OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except URLError as error:
        sys.exit(f"the lab in {options.home} does not answer: {error.reason}")
    return code


def parser() -> argparse.ArgumentParser:
    top = OneLineParser(prog="python -m lab", description="AWS on this machine, for trying and testing.")
    top.add_argument("--home", type=absolute, default=default_home(), help="the lab's folder; another is another lab")
    commands = top.add_subparsers(required=True, metavar="command")
    up_parser = commands.add_parser("up", help="start a lab, or say where the running one is")
    up_parser.add_argument("--speed", type=speed, default=DEFAULT_SPEED, help="AWS seconds per second (default 50)")
    up_parser.add_argument("--foreground", action="store_true", help="stay until Ctrl-C, and show the lab's log")
    up_parser.set_defaults(run=up)
    commands.add_parser("down", help="stop the lab and remove all it made").set_defaults(run=down)
    commands.add_parser("status", help="what runs").set_defaults(run=status)
    commands.add_parser("reset", help="forget everything, keep running").set_defaults(run=reset)
    commands.add_parser("env", help="print the AWS_* variables as shell exports").set_defaults(run=env)
    push_parser = commands.add_parser("push", help="build an image from a Dockerfile, and push it to ECR")
    push.add_arguments(push_parser)
    push_parser.set_defaults(run=push_image)
    ami_parser = commands.add_parser("publish-ami", help="a new Amazon Linux 2023 release appears, as it does on AWS")
    ami_parser.add_argument("--fixes", default="", help="what it fixes: CVE-2026-0001,CVE-2026-0002")
    ami_parser.set_defaults(run=publish_ami)
    load.add_arguments(commands.add_parser("load", help="send requests at a fixed rate, and say what came back"))
    return top


def absolute(text: str) -> Path:
    return Path(text).absolute()


def default_home() -> Path:
    return absolute(os.environ.get("LAB_HOME", ".lab/default"))


def speed(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(text)
    return value


def read_ready(home: Path) -> dict[str, Any] | None:
    """What the running lab wrote down, or None when there is none."""
    try:
        ready: dict[str, Any] = json.loads((home / READY_FILE).read_text())
        process = psutil.Process(ready["pid"])
        dead = process.status() == psutil.STATUS_ZOMBIE or process.create_time() != ready["started"]
    except (OSError, psutil.NoSuchProcess):
        return None
    return None if dead else ready


def require_ready(home: Path) -> dict[str, Any]:
    if ready := read_ready(home):
        return ready
    sys.exit(f"no lab runs in {home}: start one with 'python -m lab up'")


def up(options: argparse.Namespace) -> int:
    if read_ready(options.home):
        return status(options)
    if options.foreground:
        return supervisor.main(options.home, options.speed, follow_log=True)
    with tempfile.NamedTemporaryFile(prefix="lab-start-", suffix=".log") as log:
        deadline = time.monotonic() + START_SECONDS
        above = supervisor.start_in_background(options.home, options.speed, Path(log.name))
        while not read_ready(options.home):
            if time.monotonic() > deadline:
                above.terminate()
                sys.exit(f"the lab did not start within {START_SECONDS:.0f} s")
            if above.poll() == supervisor.BUSY:
                above = supervisor.start_in_background(options.home, options.speed, Path(log.name))
            elif above.poll() is not None:
                sys.exit(Path(log.name).read_text().strip() or "the lab ended before it was ready")
            time.sleep(0.1)
    return status(options)


def down(options: argparse.Namespace) -> int:
    """Ask the lab to stop; one that cannot is killed, and its supervisor cleans up."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if not (ready := read_ready(options.home)):
            break
        os.kill(ready["pid"], how)
        _wait_until_gone(options.home)
    if read_ready(options.home):
        sys.exit(f"the lab in {options.home} is still there")
    return 0


def _wait_until_gone(home: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while home.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def status(options: argparse.Namespace) -> int:
    ready = require_ready(options.home)
    with urllib.request.urlopen(f"{ready['url']}/lab/status", timeout=10) as answer:  # noqa: S310 - our own address
        found = json.load(answer)
    print(json.dumps({"url": ready["url"], **found}, indent=2))  # noqa: T201
    return 0


def reset(options: argparse.Namespace) -> int:
    url = f"{require_ready(options.home)['url']}/lab/reset"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60):  # noqa: S310
        return 0


def publish_ami(options: argparse.Namespace) -> int:
    """Prints what appeared, as JSON."""
    body = json.dumps({"fixes": [one for one in options.fixes.split(",") if one]}).encode()
    url = f"{require_ready(options.home)['url']}/lab/amis"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:  # noqa: S310
            print(answer.read().decode())  # noqa: T201
    except HTTPError as refusal:
        sys.exit(refusal.read().decode().strip())
    return 0


def env(options: argparse.Namespace) -> int:
    for name, value in require_ready(options.home)["env"].items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201
    return 0


def push_image(options: argparse.Namespace) -> int:
    """To the account that the standard variables name, or to this lab when they name none."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        os.environ.update(require_ready(options.home)["env"])
    return push.build_and_push(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
