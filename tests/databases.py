"""Databases for tests of what is read from them: made by statements, entered like the product enters them."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection
from pydantic import SecretStr

from lab.postgres import SUPERUSER, Cluster
from tasks.content_baseline import ContentBaseline, take_baseline
from tasks.postgres import Address, open_session
from tasks.quiet_moment import open_quiet_moment

VERIFIER = "runbook_verifier"
_numbers = itertools.count()


def make_database(cluster: Cluster, statements: str = "", options: str = "template template0") -> str:
    name = f"db{next(_numbers)}"
    cluster.query(sql.SQL(f"create database {{}} {options}").format(sql.Identifier(name)))
    if statements:
        write(cluster, name, statements)
    return name


def write(cluster: Cluster, database: str, statements: str) -> None:
    """As the superuser, all in one transaction."""
    opened = psycopg2.connect(cluster.dsn(database))
    try:
        with opened, opened.cursor() as cursor:
            cursor.execute(statements)
    finally:
        opened.close()


def write_alone(cluster: Cluster, database: str, statement: str) -> None:
    """For what refuses to run in a transaction."""
    cluster.query(statement, database=database)


def address(cluster: Cluster, database: str, user: str = VERIFIER) -> Address:
    password = cluster.password if user == SUPERUSER else VERIFIER
    return Address(cluster.host, cluster.port, database, user, SecretStr(password))


def make_verifier(cluster: Cluster) -> None:
    """The role that verifies: it may read everything, and nothing else."""
    cluster.query(f"create role {VERIFIER} login password '{VERIFIER}' in role pg_read_all_data")


@contextmanager
def reading(cluster: Cluster, database: str) -> Iterator[connection]:
    with open_session(address(cluster, database)) as session:
        yield session


def record(cluster: Cluster, database: str, **wishes: object) -> ContentBaseline:
    with open_quiet_moment(address(cluster, database)) as (session, cut):
        return take_baseline(session, cut, **wishes)  # type: ignore[arg-type]


def cluster_with_verifier(**settings: str) -> Iterator[Cluster]:
    with Cluster.temporary(**settings) as cluster:
        make_verifier(cluster)
        yield cluster
