"""The one background thread of a process: finds the database, notices when it moved, writes the heartbeat."""

import threading
import time

import psycopg2

from app import logs
from app.address import Address, AddressSource, AddressUnknown
from app.database import Database, Unavailable
from app.heartbeat import beat
from app.schema import SchemaMismatch

TICK_S = 1.0
READ_ADDRESS_EVERY_S = 15.0
# A fleet that lost its database together must not hammer Secrets Manager.
READ_ADDRESS_AT_MOST_EVERY_S = 2.0
# Several looks a minute: the row is written within seconds of its minute, also when the last writer has just died.
HEARTBEAT_EVERY_S = 10.0
HEARTBEAT_WAIT_S = 2.0
HEARTBEAT_ANSWER_S = 5.0
REPEAT_COMPLAINT_EVERY_S = 60.0
STOP_S = 8.0

Expected = (psycopg2.Error, Unavailable, AddressUnknown, SchemaMismatch)


class Keeper:
    def __init__(self, database: Database, source: AddressSource, instance: str) -> None:
        self.reason = "the database was not looked for yet"
        self._database = database
        self._source = source
        self._instance = instance
        self._lost = True
        self._read_at = self._beat_at = self._complained_at = float("-inf")
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        self._database.on_lost = self.look_again
        self._thread.start()

    def look_again(self) -> None:
        """A request lost the database: read its address again, as soon as the rate limit allows."""
        self._lost = True
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                self._find_database()
                self._beat()
            except Expected as error:
                self._complain(error)
                self._wake.clear()
            self._wake.wait(TICK_S)

    def _find_database(self) -> None:
        now = time.monotonic()
        pause_s = READ_ADDRESS_AT_MOST_EVERY_S if self._lost else READ_ADDRESS_EVERY_S
        if now - self._read_at < pause_s:
            return
        self._read_at = now
        address = self._source.read()
        if self._lost or address != self._database.address:
            self._lost = False
            self._move_to(address)

    def _move_to(self, address: Address) -> None:
        try:
            self._database.move_to(address)
        except Expected:
            # Keep what works until the new place answers: a wrong secret must not stop a healthy fleet.
            self._lost = True
            raise
        self.reason = ""
        logs.write("INFO", f"database connected: {address}")

    def _beat(self) -> None:
        now = time.monotonic()
        if not self._database.was_ready or now - self._beat_at < HEARTBEAT_EVERY_S:
            return
        self._beat_at = now
        with self._database.connection(HEARTBEAT_WAIT_S, HEARTBEAT_ANSWER_S) as connection:
            beat(connection, self._instance)

    def _complain(self, error: Exception) -> None:
        # libpq's own words name hosts and users: they belong into the log, not into an answer.
        reason = "the database does not answer" if isinstance(error, psycopg2.Error) else str(error)
        now = time.monotonic()
        if reason != self.reason or now - self._complained_at > REPEAT_COMPLAINT_EVERY_S:
            self._complained_at = now
            logs.write("ERROR", f"database not ready: {reason}", error=logs.describe(error))
        self.reason = reason
