"""The tools that a shell on an instance finds, on a host with and without curl."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import instance_shell
from tests.lab.alb import Backend

ADDRESS = "127.200.3.1"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    backend = Backend(ADDRESS)
    yield backend
    backend.stop()


@pytest.fixture(params=["python", "host"])
def curl(request: pytest.FixtureRequest, backend: Backend, tmp_path: Path) -> Run:
    host = instance_shell.host_curl() if request.param == "host" else None
    if request.param == "host" and host is None:
        pytest.skip("this host has no curl")
    return tool(instance_shell.prepare(tmp_path, ADDRESS, [], host), "curl")


def tool(tree: Path, name: str) -> Run:
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [str(tree / "bin" / name), *words]
        return subprocess.run(command, env={}, capture_output=True, text=True, check=False, cwd=tree)

    return run


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", ADDRESS])
def test_localhost_is_the_instance(curl: Run, host: str) -> None:
    done = curl("-sS", f"http://{host}:5000/hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["path"] == "/hello"


def test_a_failure_has_curls_exit_code(curl: Run) -> None:
    refused = curl("-f", "-sS", "http://localhost:5000/status/503")
    assert (refused.returncode, refused.stdout) == (22, "")
    assert "The requested URL returned error: 503" in refused.stderr
    assert curl("-s", "http://localhost:5000/status/503").returncode == 0
    nobody = curl("-sS", "http://localhost:5999/")
    assert nobody.returncode == 7
    assert "(7)" in nobody.stderr
    assert curl("-s", "-m", "0.2", "http://localhost:5000/sleep/1").returncode == 28


def test_the_status_alone_can_be_asked_for(curl: Run) -> None:
    done = curl("-s", "-o", "body.json", "-w", "%{http_code}\\n", "http://localhost:5000/status/404")
    assert (done.returncode, done.stdout) == (0, "404\n")
    assert curl("-s", "-o", "/dev/null", "-w", "%{http_code}", "http://localhost:5999/").stdout == "000"


def test_data_is_posted_as_a_form_unless_something_else_is_said(curl: Run) -> None:
    url = "http://localhost:5000/items"
    form = json.loads(curl("-sS", "-d", "a=1", "--data", "b=2", url).stdout)
    assert (form["method"], form["text"]) == ("POST", "a=1&b=2")
    assert form["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    document = json.loads(curl("-sS", "-X", "PUT", "-H", "content-type: application/json", "-d", "{}", url).stdout)
    named = {name.title(): value for name, value in document["headers"].items()}
    assert (document["method"], document["text"], named["Content-Type"]) == ("PUT", "{}", "application/json")
    assert json.loads(curl("-sS", "-X", "DELETE", url).stdout)["method"] == "DELETE"


@pytest.fixture
def docker(tmp_path: Path) -> Callable[..., Run]:
    def with_container(**facts: Any) -> Run:
        known = {"id": "0123456789ab", "image": "app@sha256:0", "command": "python server.py", "name": "app"}
        times = {"created": time.time() - 90, "since": time.time() - 60}
        known = {**known, "ports": "0.0.0.0:5000->5000/tcp", "state": "running", **times, **facts}  # type: ignore[dict-item]
        (tmp_path / "container.json").write_text(json.dumps(known))
        (tmp_path / "container.log").write_text("one\ntwo\nthree\n")
        return tool(instance_shell.prepare(tmp_path, ADDRESS, [], None), "docker")

    return with_container


def test_docker_lists_the_container_while_it_runs(docker: Callable[..., Run]) -> None:
    running = docker()
    header, line = running("ps").stdout.splitlines()
    assert header.startswith("CONTAINER ID")
    assert line.startswith("0123456789ab   app@sha256:0")
    assert "Up 6" in line
    assert running("ps", "-q").stdout == "0123456789ab\n"
    assert running("ps", "--format", "{{.Names}} {{.Ports}}").stdout == "app 0.0.0.0:5000->5000/tcp\n"
    ended = docker(state="exited (3)")
    assert ended("ps", "-q").stdout == ""
    assert "Exited (3) 6" in ended("ps", "-a").stdout


def test_docker_shows_the_log(docker: Callable[..., Run]) -> None:
    run = docker()
    assert run("logs", "app").stdout == "one\ntwo\nthree\n"
    assert run("logs", "--tail", "2", "0123456789ab").stdout == "two\nthree\n"
    assert run("logs", "other").stderr == "Error response from daemon: No such container: other\n"
    assert run("build", ".").returncode == 1


def test_an_instance_without_a_container_lists_none(tmp_path: Path) -> None:
    run = tool(instance_shell.prepare(tmp_path, ADDRESS, [], None), "docker")
    assert run("ps", "-q").stdout == ""
    assert run("logs", "app").returncode == 1
