import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from psycopg2.extensions import connection

from lab.postgres import Cluster
from tests.app.serving import Service, eventually


def health(client: FlaskClient) -> tuple[int, str, str]:
    answer = client.get("/health")
    body: dict[str, Any] = answer.get_json()
    return answer.status_code, body["status"], body["database"]


def test_health_looks_as_the_runbook_shows_it(client: FlaskClient) -> None:
    body = client.get("/health").get_json()
    assert body.pop("timestamp").endswith("Z")
    assert body == {"status": "healthy", "database": "connected", "version": "1.2.3", "instance": "i-1"}
    assert client.get("/").get_json() == {"service": "items", "version": "1.2.3"}


def test_it_starts_without_a_database_and_is_ready_once_there_is_one(
    start: Callable[..., Flask], cluster: Cluster, url_of: Callable[[str], str]
) -> None:
    client = start(DATABASE_URL=url_of("late")).test_client()
    eventually(lambda: client.get("/ready").get_json()["reason"] == "the database does not answer")
    assert health(client) == (503, "starting", "disconnected")
    refused = client.get("/items")
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (503, "starting")
    assert int(refused.headers["Retry-After"]) > 0

    cluster.query("create database late")
    eventually(lambda: client.get("/ready").status_code == 200)
    assert health(client) == (200, "healthy", "connected")
    assert client.get("/items").status_code == 200


def test_without_an_address_it_stays_starting_and_says_why(start: Callable[..., Flask]) -> None:
    client = start().test_client()
    eventually(lambda: "DB_SECRET_ARN" in client.get("/ready").get_json()["reason"])
    assert health(client) == (503, "starting", "disconnected")


def test_a_lost_database_degrades_the_service_and_its_return_heals_it(service: Service, cluster: Cluster) -> None:
    cluster.stop()
    try:
        eventually(lambda: service.health()["status"] == "degraded")
        answer = service.get("/health")
        assert (answer.status_code, answer.json()["database"]) == (200, "disconnected")
        assert service.get("/ready").status_code == 503
        lost = service.get("/items")
        assert (lost.status_code, lost.json()["error"]["code"]) == (503, "database_unavailable")
    finally:
        cluster.start()
    eventually(lambda: service.get("/ready").status_code == 200)
    assert service.health()["status"] == "healthy"
    assert service.get("/items").status_code == 200


def test_a_restart_between_two_requests_is_not_noticed(client: FlaskClient, cluster: Cluster) -> None:
    assert client.get("/items").status_code == 200
    cluster.stop()
    cluster.start()
    assert client.post("/items", json={"name": "x", "price": 1}).status_code == 201


def test_a_frozen_database_is_told_within_its_deadline(service: Service, cluster: Cluster) -> None:
    frozen = backends(cluster)
    try:
        for process in frozen:
            os.kill(process, signal.SIGSTOP)
        time.sleep(1.1)  # older answers no longer count
        for path, status in (("/health", 200), ("/ready", 503)):
            began = time.monotonic()
            assert service.get(path).status_code == status
            assert time.monotonic() - began < 2.5
        assert service.health()["status"] == "degraded"
    finally:
        for process in frozen:
            os.kill(process, signal.SIGCONT)
    eventually(lambda: service.health()["status"] == "healthy")


def test_an_exhausted_pool_delays_neither_health_nor_readiness(
    start: Callable[..., Flask], url: str, database: connection
) -> None:
    app = start(DATABASE_URL=url, DB_POOL_MIN_CONN="1", DB_POOL_MAX_CONN="1")
    client = app.test_client()
    eventually(lambda: client.get("/ready").status_code == 200)
    with app.extensions["database"].connection(5, 5):
        time.sleep(1.1)
        began = time.monotonic()
        assert health(client) == (200, "degraded", "busy")
        assert client.get("/ready").status_code == 503
        assert time.monotonic() - began < 2
    assert health(client) == (200, "healthy", "connected")


def backends(cluster: Cluster) -> list[int]:
    """The server's processes as this machine numbers them, the postmaster first."""
    assert cluster.process
    found = [cluster.process.pid]
    for parent in found:
        children = subprocess.run(["pgrep", "-P", str(parent)], check=False, capture_output=True, text=True)
        found += [int(line) for line in children.stdout.split()]
    return found
