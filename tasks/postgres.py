"""PostgreSQL itself: one session, whose rights and limits are said when it is opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection
from pydantic import SecretStr

from tasks.errors import PreconditionFailed

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 1800
LOCK_SECONDS = 10
# A session whose client is gone must not hold back the source's vacuum for longer.
IDLE_SECONDS = 900


@dataclass(frozen=True)
class Address:
    """Where a database is, and as whom to enter it."""

    host: str
    port: int
    database: str
    user: str
    password: SecretStr

    def __str__(self) -> str:
        return f"database {self.database} on {self.host}:{self.port}"


@contextmanager
def open_session(
    address: Address, statement_timeout_seconds: float = STATEMENT_SECONDS, *, read_only: bool = True
) -> Iterator[connection]:
    """A session in REPEATABLE READ: everything up to its commit or rollback sees one moment.

    Raises:
        PreconditionFailed: the database does not let us in.
    """
    limits = {
        "statement_timeout": round(statement_timeout_seconds * 1000),
        "lock_timeout": LOCK_SECONDS * 1000,
        "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
        "row_security": "off",  # a row that a policy hides from us is an error, not an absent row
    }
    try:
        opened = psycopg2.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=address.user,
            password=address.password.get_secret_value(),
            connect_timeout=CONNECT_SECONDS,
            application_name="runbook",
            client_encoding="UTF8",
            options=" ".join(f"-c {name}={value}" for name, value in limits.items()),
        )
    except psycopg2.OperationalError as error:
        raise PreconditionFailed(
            f"{address} did not let {address.user} in: {_first_line(error)}. Expected a session: look at its status,"
            " its security group and its password"
        ) from error
    try:
        opened.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=read_only)
        yield opened
    finally:
        opened.close()


def _first_line(error: psycopg2.Error) -> str:
    return (str(error).strip().splitlines() or ["no answer"])[0]
