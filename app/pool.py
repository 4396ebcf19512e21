"""A connection pool whose callers wait their turn.

psycopg2's own pool raises when it is exhausted, closes each connection above the minimum on its return, and connects
while it holds its lock; all three hurt under load.
"""

import select
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, LifoQueue
from typing import NamedTuple

from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection

# Under load a look before each query costs more than it finds; no server restarts faster than this.
TRUSTED_S = 0.02


class PoolExhausted(Exception):
    """No connection came free in time."""


class PoolClosed(Exception):
    """The pool was replaced while the caller waited."""


class Idle(NamedTuple):
    connection: connection
    since: float

    def is_usable(self) -> bool:
        """Whether the server left the connection alone: on an idle one anything to read is a farewell."""
        if time.monotonic() - self.since < TRUSTED_S:
            return True
        poller = select.poll()
        poller.register(self.connection.fileno(), select.POLLIN)
        return not poller.poll(0)


class Pool:
    def __init__(self, open_connection: Callable[[], connection], minimum: int, maximum: int) -> None:
        self._open = open_connection
        self._closed = False
        # Last in, first out: open connections lie on top and are used again before another one is opened.
        self._slots: LifoQueue[Idle | None] = LifoQueue()
        for _ in range(maximum - minimum):
            self._slots.put(None)
        for _ in range(minimum):
            self._slots.put(Idle(open_connection(), time.monotonic()))

    def take(self, wait_s: float) -> connection:
        try:
            slot = self._slots.get(timeout=wait_s)
        except Empty:
            raise PoolExhausted(f"no database connection came free within {wait_s:g} s") from None
        if self._closed:
            self._discard(slot)
            raise PoolClosed
        if slot is not None and slot.is_usable():
            return slot.connection
        return self._open_instead_of(slot)

    def give_back(self, taken: connection) -> None:
        slot = Idle(taken, time.monotonic())
        if self._closed or taken.closed or taken.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            self._discard(slot)
        else:
            self._slots.put(slot)

    def close(self) -> None:
        """Close what is idle now, and the rest on its return."""
        self._closed = True
        idle = []
        with suppress(Empty):
            while True:
                idle.append(self._slots.get_nowait())
        for slot in idle:
            self._discard(slot)

    def _discard(self, slot: Idle | None) -> None:
        if slot is not None:
            slot.connection.close()
        self._slots.put(None)

    def _open_instead_of(self, dead: Idle | None) -> connection:
        try:
            if dead is not None:
                dead.connection.close()
            return self._open()
        except BaseException:
            self._slots.put(None)
            raise
