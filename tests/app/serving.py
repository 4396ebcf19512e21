"""The application as it runs in production: gunicorn in a process of its own, with its log in a file."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).parents[2]
GUNICORN = [str(Path(sys.executable).parent / "gunicorn"), "--config", "app/gunicorn.conf.py", "app:create_app()"]


@dataclass
class Service:
    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20, **options)

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.get("/health").json()
        return answer

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "path" in line]


@contextmanager
def serve(log: Path, **environment: str) -> Iterator[Service]:
    """A running application; waits until it listens, not until it is ready."""
    port = free_port()
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": "1", "APP_VERSION": "1.2.3"}
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            GUNICORN,
            cwd=PROJECT,
            env=inherited | settings | {"INSTANCE_ID": "i-1"} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        eventually(lambda: _listens(port))
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def eventually(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """The first true answer of `condition`."""
    give_up_at = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"did not happen within {seconds} s"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
