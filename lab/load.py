"""An open-loop load generator: requests leave at their time whether or not earlier ones came back.

Latency counts from the time at which a request should have left, so that a stalled server can't hide it.
"""

import argparse
import asyncio
import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

PROJECT = Path(__file__).parents[1]
REQUEST_SECONDS = 30.0
FAILURES_SHOWN = 10
STOP_SECONDS = REQUEST_SECONDS + 10.0


@dataclass
class Outcome:
    """What became of the requests so far."""

    sent: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    by_version: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    served: list[tuple[float, bool]] = field(default_factory=list)  # by when a request should have left

    def answered(self, at: float, status: int, milliseconds: float, body: bytes) -> None:
        self.by_status[str(status)] += 1
        self.milliseconds.append(milliseconds)
        self.served.append((at, status < 400))
        if status >= 400:
            self._fail(at, str(status), body[:80].decode(errors="replace"))
        elif version := version_in(body):
            self.by_version[version] += 1

    def broke(self, at: float, error: Exception) -> None:
        self.errors[type(error).__name__] += 1
        self.served.append((at, False))
        self._fail(at, type(error).__name__, str(error)[:80])

    def _fail(self, at: float, what: str, detail: str) -> None:
        if len(self.failures) < FAILURES_SHOWN:
            self.failures.append({"at": round(at, 3), "what": what, "detail": detail})

    def summary(self, seconds: float) -> dict[str, Any]:
        bad = sum(count for status, count in self.by_status.items() if int(status) >= 400)
        ordered = sorted(self.milliseconds)
        quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        return {
            "seconds": round(seconds, 2),
            "sent": self.sent,
            "failed": bad + self.errors.total(),
            "by_status": dict(self.by_status),
            "errors": dict(self.errors),
            "by_version": dict(self.by_version),
            "milliseconds": {name: quantile(ordered, share) for name, share in quantiles.items()},
            "first_failures": self.failures,
            "outages": outages(self.served),
        }


def outages(served: list[tuple[float, bool]]) -> list[dict[str, float]]:
    """Each time from the first request that failed until the next that was served, or until the last one of all."""
    found: list[dict[str, float]] = []
    before = True
    for at, well in sorted(served):
        if not well and before:
            found.append({"at": round(at, 3), "seconds": 0.0, "failed": 0})
        if not (well and before):
            found[-1]["seconds"] = round(at - found[-1]["at"], 3)
            found[-1]["failed"] += not well
        before = well
    return found


def quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1) if ordered else None


def version_in(body: bytes) -> str | None:
    """The `version` field of a JSON answer, by which a roll-out can be watched."""
    if not body.startswith(b"{"):
        return None
    try:
        return str(json.loads(body).get("version") or "") or None
    except ValueError:
        return None


async def generate(url: str, rate: float, seconds: float) -> dict[str, Any]:
    """Send `rate` requests a second for `seconds`, or until SIGTERM or SIGINT, and wait for the answers."""
    stopped = asyncio.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wanted, stopped.set)
    print(f"sending {rate:g} requests/s to {url}", file=sys.stderr, flush=True)  # noqa: T201
    outcome, began, pending = Outcome(), time.perf_counter(), set[asyncio.Task[None]]()
    connector, patience = TCPConnector(limit=0, ssl=False), ClientTimeout(total=REQUEST_SECONDS)
    async with ClientSession(connector=connector, timeout=patience) as session:
        while outcome.sent < rate * seconds and not stopped.is_set():
            intended = began + outcome.sent / rate
            await _wait_until(intended, stopped)
            if stopped.is_set():
                break
            outcome.sent += 1
            request = asyncio.create_task(_request(session, url, outcome, intended, began))
            pending.add(request)
            request.add_done_callback(pending.discard)
        sending = time.perf_counter() - began
        await asyncio.gather(*pending)
    return {"url": url, "rate": rate, **outcome.summary(sending)}


async def _wait_until(moment: float, stopped: asyncio.Event) -> None:
    left = moment - time.perf_counter()
    if left > 1.0:
        try:
            await asyncio.wait_for(stopped.wait(), left)
        except TimeoutError:
            return
    elif left > 0:
        await asyncio.sleep(left)


async def _request(session: ClientSession, url: str, outcome: Outcome, intended: float, began: float) -> None:
    try:
        async with session.get(url, allow_redirects=False) as answer:
            body = await answer.read()
            now = time.perf_counter()
            outcome.answered(intended - began, answer.status, (now - intended) * 1000, body)
    except (ClientError, OSError, TimeoutError) as error:
        outcome.broke(intended - began, error)


class Load:
    """The generator as a process beside a test: `with Load(url, rate=100) as load: ...`, then `load.result`."""

    def __init__(self, url: str, rate: float, seconds: float = 3600.0) -> None:
        self._command = [
            sys.executable,
            "-m",
            "lab.load",
            url,
            "--rate",
            str(rate),
            "--seconds",
            str(seconds),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.result: dict[str, Any] = {}

    def start(self) -> Self:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, cwd=PROJECT, stdout=pipe, stderr=pipe, text=True)
        assert self._process.stderr is not None  # noqa: S101 - for the type checker
        self._process.stderr.readline()  # it says so when it sends: a stop before that would find no handler
        return self

    def wait(self) -> dict[str, Any]:
        """Let it run to its end."""
        assert self._process is not None, "start it first"  # noqa: S101 - a caller's mistake
        output, _ = self._process.communicate()
        self.result = json.loads(output)
        return self.result

    def stop(self) -> dict[str, Any]:
        """End it now; requests under way are waited for."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.result or self.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second (default 50)")
    parser.add_argument("--seconds", type=float, default=30.0, help="for how long (default 30)")
    parser.add_argument("--path", default="", help="appended to the URL, such as /items")
    parser.add_argument("--json", type=Path, help="write the result to this file too")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    url = options.url.rstrip("/") + options.path if options.path else options.url
    result = json.dumps(asyncio.run(generate(url, options.rate, options.seconds)), indent=2)
    if options.json:
        options.json.write_text(result + "\n")
    print(result)  # noqa: T201
    return 0


if __name__ == "__main__":
    command_line = argparse.ArgumentParser(prog="python -m lab.load", description=__doc__)
    add_arguments(command_line)
    sys.exit(run(command_line.parse_args()))
