"""Terraform's lock on its state: who holds it, and when it may be taken from a process that is dead."""

import json
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psutil

from tasks import aws, s3
from tasks.errors import PreconditionFailed
from tasks.waiting import wait_until

ORPHAN_SECONDS = 3600


@dataclass(frozen=True)
class StateLock:
    """What Terraform writes into `<key>.tflock`."""

    id: str
    who: str
    operation: str
    created: datetime

    def __str__(self) -> str:
        return f"{self.who} ({self.operation} since {self.created:%Y-%m-%d %H:%M:%S} UTC, lock {self.id})"


@dataclass(frozen=True)
class StateAddress:
    """Where an environment's state lies; its lock and the record of our own last process lie beside it."""

    bucket: str
    key: str

    def read_lock(self) -> StateLock | None:
        found = self._read(f"{self.key}.tflock")
        if found is None:
            return None
        created = datetime.fromisoformat(found["Created"][:19] + "+00:00")
        return StateLock(found["ID"], found["Who"], found["Operation"], created)

    def record_process(self, pid: int, lock_id: str | None = None) -> None:
        """Write down which process works on the state and, once it holds it, its lock: so its death can be proven."""
        record = {
            "pid": pid,
            "host": socket.gethostname(),
            "created": psutil.Process(pid).create_time(),
            "lock_id": lock_id,
        }
        aws.client("s3").put_object(Bucket=self.bucket, Key=self._record_key, Body=json.dumps(record).encode())

    def is_held_by_our_orphan(self) -> bool:
        """Whether a Terraform process that a killed run of ours left behind on this machine still works."""
        record = self._read(self._record_key)
        return record is not None and record["host"] == socket.gethostname() and _is_alive(record)

    def is_held_by_our_dead(self, lock: StateLock) -> bool:
        """Whether it is proven that this lock's holder was a process of ours on this machine that no longer exists."""
        record = self._read(self._record_key)
        return (
            record is not None
            and record["lock_id"] == lock.id
            and record["host"] == socket.gethostname()
            and not _is_alive(record)
        )

    @property
    def _record_key(self) -> str:
        return f"{self.key}.process"

    def _read(self, key: str) -> dict[str, Any] | None:
        body = s3.find_object(self.bucket, key)
        content: dict[str, Any] | None = None if body is None else json.loads(body)
        return content


def _is_alive(record: dict[str, Any]) -> bool:
    try:
        process = psutil.Process(record["pid"])
        return bool(process.create_time() == record["created"] and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_for_orphan(state: StateAddress) -> StateLock | None:
    """Let a Terraform process that a killed run of ours left behind finish: it is still applying what was approved.

    Returns:
        The lock when a dead process of ours left it, None when the state is free.

    Raises:
        PreconditionFailed: somebody else holds it.
    """
    lock = wait_until(
        f"the state lock of {state.key}",
        state.read_lock,
        lambda seen: seen is None or not state.is_held_by_our_orphan(),
        timeout_seconds=ORPHAN_SECONDS,
        expected="no lock",
    )
    if lock is None or state.is_held_by_our_dead(lock):
        return lock
    raise PreconditionFailed(
        f"the Terraform state {state.key} is locked by {lock}, expected no lock. Wait for them; if they are certainly"
        f" gone, run: terraform force-unlock {lock.id}"
    )
