"""One change at a time: a lease on an environment that its holder renews, and that ends when the holder dies."""

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from prefect import runtime

from tasks import aws
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed, RunbookError
from tasks.kinds import probe
from tasks.report import say

LEASE_SECONDS = 60.0
RENEWALS_PER_LEASE = 3
SILENT_RENEWALS = 1.5  # so many renewals must be missed in front of our eyes before a holder counts as dead
LARGEST_SKEW_SECONDS = 300.0  # between the clocks of two machines
LOCK_TABLE = f"terraform-state-lock-{PROJECT}"


class LeaseLost(RunbookError):
    """Somebody else took the lease while this run could not renew it. Look at both runs before you start another."""


@dataclass(frozen=True)
class Holder:
    """Who changes the environment: one attempt of one run. `fence` grows with each new holder."""

    run_id: str
    procedure: str
    process: str
    fence: int
    expires_at: float

    @property
    def is_released(self) -> bool:
        return self.expires_at == 0

    @property
    def is_surely_over(self) -> bool:
        """Given back, or not renewed for so long that no clock can be that wrong."""
        return self.expires_at + LARGEST_SKEW_SECONDS <= time.time()

    def __str__(self) -> str:
        return f"{self.procedure} (run {self.run_id}, process {self.process})"


@dataclass
class Lease:
    environment: str
    holder: Holder
    seconds: float
    lost: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """From now on a renewal precedes each call of this process that would change AWS: a late writer's fails."""
        self._ended = threading.Event()
        aws.require_before_changes(self._before_change)
        keeper = threading.Thread(
            target=self.keep, args=(self.holder, self._ended), name=f"lease-{self.environment}", daemon=True
        )
        keeper.start()

    def require_held(self) -> None:
        """Ask before each step that changes something by other means than AWS's API.

        A process that was stopped for longer than its lease learns it here, not at its next renewal.
        """
        if not self.lost:
            self.lost = not _renew(self.environment, self.holder, self.seconds)
        if self.lost:
            raise LeaseLost(
                f"{self.environment} is no longer ours: {self.holder} could not renew its lease in time and"
                " another run may have taken over"
            )

    def _before_change(self, *_: object) -> None:
        self.require_held()

    def keep(self, holder: Holder, ended: threading.Event) -> None:
        while not ended.wait(self.seconds / RENEWALS_PER_LEASE):
            try:
                lost = not _renew(self.environment, holder, self.seconds)
            except (BotoCoreError, ClientError):
                continue  # the next renewal may pass; an expired lease shows itself as lost
            if lost and not ended.is_set():
                self.lost = True
            if lost:
                return

    def end(self) -> None:
        self._stop()
        _release(self.environment, self.holder)

    def _stop(self) -> None:
        self._ended.set()
        aws.forget_before_changes(self._before_change)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Procedures that this run starts meanwhile hold the environment by this lease: never free in between."""
        _lent[self.environment] = self
        try:
            yield
        finally:
            del _lent[self.environment]

    @contextmanager
    def handed_over(self) -> Iterator[None]:
        """Another process of this run takes the environment meanwhile; it is taken back, however that ended."""
        self._stop()
        try:
            yield
        finally:
            self.holder, self.lost = _acquire(self.environment, self.holder.procedure, self.seconds), False
            self.begin()


_lent: dict[str, Lease] = {}


@probe
def require_free(environment: str) -> None:
    """Refuse early and by name; `change_lock` refuses again, atomically, when the change begins."""
    if (holder := _living(environment)) and holder.run_id != run_id():
        raise _held(environment, holder)


def is_free(environment: str) -> bool:
    """Nobody but this run holds it now."""
    holder = _living(environment)
    return holder is None or holder.run_id == run_id()


@contextmanager
def change_lock(environment: str, procedure: str, lease_seconds: float = LEASE_SECONDS) -> Iterator[Lease]:
    """Hold the environment for this run.

    A lease of the same run is taken over at once (a killed run resumes), one of another run only when it has run out
    because its holder no longer renews it.

    Raises:
        PreconditionFailed: a living run holds the environment. Nothing was changed.
    """
    if (mine := _lent.get(environment)) and mine.holder.run_id == run_id():
        yield mine
        return
    lease = Lease(environment, _acquire(environment, procedure, lease_seconds), lease_seconds)
    lease.begin()
    try:
        yield lease
    finally:
        lease.end()


def _acquire(environment: str, procedure: str, lease_seconds: float) -> Holder:
    dead: Holder | None = None
    while True:
        found = _read(environment)
        if found is None or found.run_id == run_id() or found.is_surely_over or found == dead:
            wanted = Holder(
                run_id(),
                procedure,
                _process(),
                (found.fence if found else 0) + 1,
                time.time() + lease_seconds,
            )
            if _take(environment, wanted, found):
                return wanted
        else:
            dead = _find_dead(environment, found, lease_seconds)


def _find_dead(environment: str, holder: Holder, lease_seconds: float) -> Holder | None:
    """The holder, once it was silent until its lease ran out and for longer than it renews: clocks may differ.

    Raises:
        PreconditionFailed: it is renewed meanwhile, so its holder lives.
    """
    say(f"{environment} is held by {holder}; waiting to see whether it still lives", note=False)
    silent_at = max(holder.expires_at, time.time() + SILENT_RENEWALS * lease_seconds / RENEWALS_PER_LEASE)
    while time.time() < silent_at:
        time.sleep(min(1.0, max(silent_at - time.time(), 0.05)))
        now = _read(environment)
        if now is None or now.is_released:
            return now
        if now != holder:
            raise _held(environment, now)
    return holder


def _living(environment: str) -> Holder | None:
    holder = _read(environment)
    return holder if holder and holder.expires_at > time.time() else None


def _held(environment: str, holder: Holder) -> PreconditionFailed:
    return PreconditionFailed(
        f"{environment} is being changed by {holder}, expected nobody. Wait until that run has ended, or cancel it."
    )


def _key(environment: str) -> dict[str, Any]:
    return {"LockID": {"S": f"{PROJECT}/{environment}/change"}}


def _read(environment: str) -> Holder | None:
    found = aws.client("dynamodb").get_item(TableName=LOCK_TABLE, Key=_key(environment), ConsistentRead=True)
    item = found.get("Item")
    if not item or "run_id" not in item:
        return None
    return Holder(
        item["run_id"]["S"],
        item["procedure"]["S"],
        item["process"]["S"],
        int(item["fence"]["N"]),
        float(item["expires_at"]["N"]),
    )


def _take(environment: str, wanted: Holder, found: Holder | None) -> bool:
    """Write the new holder unless somebody else was faster."""
    condition = {"ConditionExpression": "attribute_not_exists(LockID)"}
    values: dict[str, Any] = {}
    if found:
        condition = {"ConditionExpression": "fence = :fence AND expires_at = :expires_at"}
        values = {":fence": {"N": str(found.fence)}, ":expires_at": {"N": repr(found.expires_at)}}
    item = {
        **_key(environment),
        "run_id": {"S": wanted.run_id},
        "procedure": {"S": wanted.procedure},
        "process": {"S": wanted.process},
        "fence": {"N": str(wanted.fence)},
        "expires_at": {"N": repr(wanted.expires_at)},
    }
    extra = {"ExpressionAttributeValues": values} if values else {}
    return _conditionally("put_item", Item=item, **condition, **extra)


def _renew(environment: str, holder: Holder, lease_seconds: float) -> bool:
    return _conditionally(
        "update_item",
        Key=_key(environment),
        UpdateExpression="SET expires_at = :later",
        ConditionExpression="fence = :fence",
        ExpressionAttributeValues={
            ":later": {"N": repr(time.time() + lease_seconds)},
            ":fence": {"N": str(holder.fence)},
        },
    )


def _release(environment: str, holder: Holder) -> None:
    """Let the lease run out now. The row stays: its fence must keep growing."""
    _conditionally(
        "update_item",
        Key=_key(environment),
        UpdateExpression="SET expires_at = :now",
        ConditionExpression="fence = :fence",
        ExpressionAttributeValues={":now": {"N": "0"}, ":fence": {"N": str(holder.fence)}},
    )


def _conditionally(operation: str, **arguments: Any) -> bool:
    dynamodb = aws.client("dynamodb")
    try:
        getattr(dynamodb, operation)(TableName=LOCK_TABLE, **arguments)
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def run_id() -> str:
    return str(runtime.flow_run.root_flow_run_id or "no-run")


def short_run_id() -> str:
    """What names of this run's things end with: eight letters or digits."""
    return shorten(run_id())


def shorten(run: str) -> str:
    return re.sub(r"[^a-z0-9]", "", run.lower())[:8]


def _process() -> str:
    return f"{os.getpid()}@{socket.gethostname()}"
