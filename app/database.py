"""The one way to the database: checks a connection out, counts the time, and names what went wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.errors import LockNotAvailable, QueryCanceled, ReadOnlySqlTransaction
from psycopg2.extensions import connection as Connection  # noqa: N812 - a method here is called connection

from app import logs
from app.address import Address
from app.deadline import answer_within
from app.pool import Pool, PoolClosed, PoolExhausted
from app.schema import VERSION, migrate

CONNECT_TIMEOUT_S = 2
MIGRATION_S = 300
PROBE_WAIT_S = 0.5
PROBE_ANSWER_S = 1.5
# An answer this young still says that the database is there: health checks cost it at most one query a second.
FRESH_S = 1.0
RETRY_BUSY_S = 1
RETRY_AWAY_S = 2
# A host that vanished without a word is noticed in about ten seconds, not in the kernel's two hours.
TCP: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

Row = tuple[Any, ...]
_thread = threading.local()


class Unavailable(Exception):
    """The database can't serve this request now; the client may come back after `retry_after_s`."""

    def __init__(self, code: str, message: str, retry_after_s: int = RETRY_AWAY_S) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Limits:
    """What the environment may bound."""

    pool_minimum: int = 2
    pool_maximum: int = 10
    wait_s: float = 5.0
    query_s: float = 10.0


def start_clock() -> None:
    _thread.spent_s = 0.0


def spent_s() -> float:
    """How long this thread waited for the database's answers since its clock was started."""
    return float(getattr(_thread, "spent_s", 0.0))


class Database:
    def __init__(self, limits: Limits, instance: str) -> None:
        self.limits = limits
        self.address: Address | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self._instance = instance
        self._pool: Pool | None = None
        self._answered_at = float("-inf")

    @property
    def was_ready(self) -> bool:
        return self._pool is not None

    def move_to(self, address: Address) -> None:
        """Bring the schema there up to this release, then let the next query go there."""
        with answer_within(MIGRATION_S):
            first = self._connect(address, statement_timeout_s=0)
            try:
                for name in migrate(first):
                    logs.write("INFO", f"migration applied: {name}")
            finally:
                first.close()
            minimum, maximum = self.limits.pool_minimum, self.limits.pool_maximum
            replaced, self._pool = self._pool, Pool(lambda: self._connect(address), minimum, maximum)
        self.address = address
        if replaced is not None:
            replaced.close()

    def query(self, sql: str, parameters: object = None) -> list[Row]:
        with self.connection(self.limits.wait_s, self.limits.query_s) as taken, taken.cursor() as cursor:
            cursor.execute(sql, parameters)  # type: ignore[arg-type]
            return cursor.fetchall()

    def schema_version(self) -> int:
        """Asks the database now, and waits two seconds at most."""
        with self.connection(PROBE_WAIT_S, PROBE_ANSWER_S) as taken, taken.cursor() as cursor:
            cursor.execute(VERSION)
            return int(cursor.fetchall()[0][0])

    def require_answer(self) -> None:
        """Returns when the database answered within the last second, or does so now."""
        if time.monotonic() - self._answered_at > FRESH_S:
            with self.connection(PROBE_WAIT_S, PROBE_ANSWER_S) as taken, taken.cursor() as cursor:
                cursor.execute("select 1")

    @contextmanager
    def connection(self, wait_s: float, answer_s: float) -> Iterator[Connection]:
        """A connection in autocommit, or Unavailable."""
        try:
            with answer_within(wait_s + answer_s):
                pool, taken = self._take(wait_s)
                started = time.perf_counter()
                try:
                    yield taken
                finally:
                    _thread.spent_s = spent_s() + time.perf_counter() - started
                    pool.give_back(taken)
            self._answered_at = time.monotonic()
        except PoolExhausted as error:
            raise Unavailable("database_busy", str(error), RETRY_BUSY_S) from error
        except (QueryCanceled, LockNotAvailable) as error:
            raise Unavailable("database_slow", "the query took too long") from error
        except (psycopg2.OperationalError, psycopg2.InterfaceError, ReadOnlySqlTransaction) as error:
            self._answered_at = float("-inf")
            self.on_lost()
            raise Unavailable("database_unavailable", "the database does not answer") from error

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def _take(self, wait_s: float) -> tuple[Pool, Connection]:
        while True:
            pool = self._pool
            if pool is None:
                raise Unavailable("starting", "the database was not reached yet")
            try:
                return pool, pool.take(wait_s)
            except PoolClosed:
                continue  # the database moved while this request waited: it goes to the new one

    def _connect(self, address: Address, statement_timeout_s: float | None = None) -> Connection:
        timeout_s = self.limits.query_s if statement_timeout_s is None else statement_timeout_s
        settings = {"statement_timeout": round(timeout_s * 1000), "TimeZone": "UTC"}
        ours = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": f"app {self._instance}",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        }
        with answer_within(CONNECT_TIMEOUT_S):
            opened: Connection = psycopg2.connect(**{**address.parameters, **TCP, **ours})
        opened.autocommit = True
        return opened
