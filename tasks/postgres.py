"""PostgreSQL itself: one session, whose rights and limits are said when it is opened."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection
from pydantic import SecretStr

from tasks.errors import PreconditionFailed

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 1800
LOCK_SECONDS = 10
# A host that vanished without a word is noticed in about ten seconds, not in the kernel's two hours.
VANISHED: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
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

    @classmethod
    def of_secret(cls, value: Mapping[str, Any]) -> "Address":
        """From what a secret of a database holds, in the shape that Terraform and the application share."""
        password = SecretStr(value["password"])
        return cls(value["host"], int(value["port"]), value["dbname"], value["username"], password)

    def to_secret(self) -> dict[str, Any]:
        """For the same; it holds the password in clear."""
        return {
            "engine": "postgres",
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "username": self.user,
            "password": self.password.get_secret_value(),
        }

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
            **VANISHED,
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


def ask(session: connection, statement: str | sql.Composable) -> list[tuple[Any, ...]]:
    """The rows of one statement.

    Raises:
        PreconditionFailed: the database refuses it or takes too long; what it says, and of which statement.
    """
    with _explained(session, statement), session.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def copy_out(session: connection, statement: sql.Composable, take: Callable[[bytes], object]) -> None:
    """Hand the stream of a COPY to `take`, piece by piece."""
    with _explained(session, statement), session.cursor() as cursor:
        cursor.copy_expert(statement, _Sink(take))


@dataclass(frozen=True)
class _Sink:
    write: Callable[[bytes], object]


@contextmanager
def _explained(session: connection, statement: str | sql.Composable) -> Iterator[None]:
    try:
        yield
    except (psycopg2.OperationalError, psycopg2.ProgrammingError, psycopg2.InternalError) as error:
        text = statement if isinstance(statement, str) else statement.as_string(session)
        raise PreconditionFailed(
            f"database {session.info.dbname} on {session.info.host}:{session.info.port} refused a statement:"
            f" {_first_line(error)}. Expected that it carries out: {text.strip()[:200]}"
        ) from error


def _first_line(error: psycopg2.Error) -> str:
    return (str(error).strip().splitlines() or ["no answer"])[0]
