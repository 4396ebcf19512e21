"""The application beside `pgbench -S` on the same PostgreSQL, both on this machine in one run."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from lab.load import Load
from lab.postgres import Cluster
from lab.postgres_binaries import find_binaries

ROOT = Path(__file__).parents[2]
SECONDS = 10
STEADY_RATE = 200  # requests per second, at which the p95 is taken
CLIENTS = 8


def measure() -> dict[str, Any]:
    """Requests per second at full load (with wrk, where there is one), p95 at a steady rate, and pgbench's rate."""
    with Cluster.temporary() as postgres, served(postgres.dsn()) as url:
        with Load(f"{url}/items", rate=STEADY_RATE, seconds=SECONDS) as load:
            load.wait()
        return {
            "items_per_second": saturate(f"{url}/items"),
            "health_per_second": saturate(f"{url}/health"),
            f"milliseconds_at_{STEADY_RATE}_per_second": load.result["milliseconds"],
            "failed": load.result["failed"],
            "pgbench_select_per_second": pgbench(postgres),
        }


@contextmanager
def served(dsn: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "app/gunicorn.conf.py", "app:create_app()"]
    environment = {**os.environ, "DATABASE_URL": dsn, "HOST": "127.0.0.1", "PORT": str(port)}
    process = subprocess.Popen(gunicorn, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(url)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health").is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise TimeoutError(f"{url}/health did not answer in 30 s")


def saturate(url: str) -> float | str:
    wrk = shutil.which("wrk")
    if wrk is None:
        return "not measured: no wrk on the PATH"
    command = [wrk, "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", url]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])


def pgbench(postgres: Cluster) -> float:
    tool = find_binaries()["pgbench"]
    subprocess.run([tool, "-i", "-q", postgres.dsn()], check=True, capture_output=True)
    command = [tool, "-S", f"-c{CLIENTS}", f"-T{SECONDS}", postgres.dsn()]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(re.findall(r"tps = ([\d.]+)", told)[0])
