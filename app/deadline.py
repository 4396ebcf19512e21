"""A client-side deadline for everything psycopg2 waits for: connecting as well as each answer."""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import extensions

DEFAULT_S = 30.0

_thread = threading.local()


class DeadlineExceeded(psycopg2.OperationalError):
    """The database said nothing in time."""


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """Every wait for the database inside this block, taken together, ends after `seconds`."""
    outer: float | None = getattr(_thread, "expires_at", None)
    expires_at = time.monotonic() + seconds
    _thread.expires_at = expires_at if outer is None else min(outer, expires_at)
    try:
        yield
    finally:
        _thread.expires_at = outer


def install() -> None:
    """Switch the deadlines on for this process.

    psycopg2 keeps one wait callback per process, and COPY refuses to work with one: whoever owns the process
    (gunicorn's worker) decides, not whoever imports this module.
    """
    extensions.set_wait_callback(_wait)


def _wait(connection: extensions.connection) -> None:
    # statement_timeout and TCP keep-alives don't help against a server that is frozen: only a clock of our own does.
    expires_at = getattr(_thread, "expires_at", None) or time.monotonic() + DEFAULT_S
    while (state := connection.poll()) != extensions.POLL_OK:
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT)
        remaining_ms = max(0.0, expires_at - time.monotonic()) * 1000
        if not poller.poll(remaining_ms):
            raise DeadlineExceeded("the database did not answer in time")
