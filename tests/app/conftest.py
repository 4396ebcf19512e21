"""A real PostgreSQL, a database for each test, and the application in this process or in gunicorn."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg2.extensions import connection

from app import close_app, create_app
from lab.postgres import SUPERUSER, Cluster
from tests.app.serving import Service, eventually, serve

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster.temporary(max_connections="200") as running:
        yield running


@pytest.fixture(scope="session")
def url_of(cluster: Cluster) -> Callable[[str], str]:
    return lambda name: f"postgresql://{SUPERUSER}:{cluster.password}@{cluster.host}:{cluster.port}/{name}"


@pytest.fixture
def new_database(cluster: Cluster) -> Callable[[], str]:
    def create() -> str:
        name = f"db{next(numbers)}"
        cluster.query(f"create database {name}")
        return name

    return create


@pytest.fixture
def url(new_database: Callable[[], str], url_of: Callable[[str], str]) -> str:
    return url_of(new_database())


@contextmanager
def session(url: str) -> Iterator[connection]:
    database = psycopg2.connect(url)
    database.autocommit = True
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def database(url: str) -> Iterator[connection]:
    """The test's own session in the application's database."""
    with session(url) as opened:
        yield opened


@pytest.fixture
def start() -> Iterator[Callable[..., Flask]]:
    """Starts applications in this process."""
    with ExitStack() as stack:

        def create(**environment: str) -> Flask:
            app = create_app({"APP_VERSION": "1.2.3", "INSTANCE_ID": "i-1", **environment})
            stack.callback(close_app, app)
            return app

        yield create


@pytest.fixture
def client(start: Callable[..., Flask], url: str) -> FlaskClient:
    """A client of an application that is ready."""
    client = start(DATABASE_URL=url).test_client()
    eventually(lambda: client.get("/ready").status_code == 200)
    return client


@pytest.fixture
def run_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts gunicorns."""
    with ExitStack() as stack:
        yield lambda **environment: stack.enter_context(serve(tmp_path / f"log{next(numbers)}", **environment))


@pytest.fixture
def service(run_service: Callable[..., Service], url: str) -> Service:
    """A gunicorn that is ready."""
    running = run_service(DATABASE_URL=url)
    eventually(lambda: running.get("/ready").status_code == 200)
    return running
