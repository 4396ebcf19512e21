"""PostgreSQL: a session in any database that the runbook has an address of."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection
from pydantic import SecretStr

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 300


@dataclass(frozen=True)
class Address:
    host: str
    port: int
    database: str
    user: str
    password: SecretStr


@contextmanager
def open_session(
    address: Address, statement_timeout_seconds: float = STATEMENT_SECONDS, read_only: bool = True
) -> Iterator[connection]:
    opened = psycopg2.connect(
        host=address.host,
        port=address.port,
        dbname=address.database,
        user=address.user,
        password=address.password.get_secret_value(),
        connect_timeout=CONNECT_SECONDS,
        application_name="runbook",
        options=f"-c statement_timeout={round(statement_timeout_seconds * 1000)}",
    )
    try:
        opened.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=read_only)
        yield opened
    finally:
        opened.close()
