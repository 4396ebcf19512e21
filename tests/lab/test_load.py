"""The load generator: what it sends does not depend on what comes back."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab.load import Load, outages
from tests.lab.alb import PORT, Backend, listen

PROJECT = Path(__file__).parents[2]


class OneAtATime(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(0.1)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def slow_server() -> Iterator[str]:
    server = listen("127.200.4.1", OneAtATime, HTTPServer)
    server.socket.listen(256)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.200.4.1:{PORT}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def backend() -> Iterator[Backend]:
    one = Backend("127.200.4.2")
    yield one
    one.stop()


def test_a_server_that_cannot_keep_up_shows_in_the_latency_not_in_the_rate(slow_server):
    result = Load(slow_server, rate=50, seconds=1).start().wait()
    assert result["sent"] == 50
    assert result["seconds"] == pytest.approx(1.0, abs=0.3)
    assert result["milliseconds"]["max"] > 3000
    assert result["milliseconds"]["p50"] > 1000


def test_ended_early_it_still_tells_what_it_saw(backend):
    with Load(f"http://{backend.address}:{PORT}/", rate=50) as load:
        time.sleep(1)
    assert 20 < load.result["sent"] == load.result["by_status"]["200"] < 100
    assert load.result["by_version"] == {backend.address: load.result["sent"]}
    assert load.result["failed"] == 0


def test_failures_are_told_by_kind_and_time(backend):
    address = f"http://{backend.address}:{PORT}"
    refused = Load(f"http://127.200.4.99:{PORT}/", rate=20, seconds=0.5).start().wait()
    assert refused["errors"] == {"ClientConnectorError": 10}
    missing = Load(f"{address}/status/404", rate=20, seconds=0.5).start().wait()
    assert (missing["failed"], missing["by_status"]) == (10, {"404": 10})
    assert [one["at"] for one in missing["first_failures"]] == pytest.approx([n / 20 for n in range(10)])


def test_the_command_prints_and_writes_one_json(backend, tmp_path):
    file = tmp_path / "load.json"
    command = [sys.executable, "-m", "lab", "load", f"http://{backend.address}:{PORT}"]
    options = ["--rate", "20", "--seconds", "0.5", "--path", "/items", "--json", str(file)]
    printed = subprocess.run([*command, *options], cwd=PROJECT, check=True, capture_output=True).stdout
    assert json.loads(printed) == json.loads(file.read_text())
    assert json.loads(printed)["sent"] == 10


def test_an_outage_lasts_from_the_first_request_that_failed_to_the_next_that_was_served():
    assert outages([(0.0, True), (2.0, False), (1.0, False), (3.0, True), (4.0, True), (5.0, False)]) == [
        {"at": 1.0, "seconds": 2.0, "failed": 2},
        {"at": 5.0, "seconds": 0.0, "failed": 1},
    ]
    assert outages([(0.0, True)]) == []
