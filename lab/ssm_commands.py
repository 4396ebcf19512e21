"""A Run Command as a state machine: which of its invocations may start now, and what all of them add up to.

Knows neither moto nor processes; lab.ssm feeds it. Sources: "Understanding command statuses", "Using concurrency
controls" and "Using error controls" in the Systems Manager user guide, and the API reference of StatusDetails.
"""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

# Status by StatusDetails; those that are not here have the same name.
STATUS = {
    "ExecutionTimedOut": "TimedOut",
    "DeliveryTimedOut": "TimedOut",
    "Undeliverable": "Failed",
    "Terminated": "Cancelled",
    "Incomplete": "Failed",
    "NoInstancesInTag": "Success",
}
OPEN = ("Pending", "Delayed", "InProgress", "Cancelling")
ERRORS = ("Failed", "ExecutionTimedOut")
NOT_STARTED = -1


@dataclass
class Invocation:
    """A command on one managed node."""

    instance_id: str
    instance_name: str
    requested: datetime = field(default_factory=lambda: datetime.now(UTC))
    details: str = "Pending"
    code: int = NOT_STARTED
    started: datetime | None = None
    ended: datetime | None = None
    stdout: str = ""
    stderr: str = ""
    deliver_until: float | None = None  # time.monotonic(): set when it is its turn

    @property
    def status(self) -> str:
        return STATUS.get(self.details, self.details)

    @property
    def is_open(self) -> bool:
        return self.details in OPEN

    @property
    def is_sent(self) -> bool:
        return self.is_open and self.deliver_until is not None

    def start(self) -> None:
        self.details, self.started = "InProgress", datetime.now(UTC)

    def end(self, details: str, code: int = NOT_STARTED) -> None:
        self.details, self.code, self.ended = details, code, datetime.now(UTC)


@dataclass
class Command:
    """What SendCommand asked for, and one invocation for each of its targets."""

    document: str
    version: str
    comment: str
    parameters: dict[str, list[str]]
    instance_ids: list[str]
    targets: list[dict[str, Any]]
    max_concurrency: str
    max_errors: str
    timeout_seconds: int
    execution_timeout: int
    expires: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    requested: datetime = field(default_factory=lambda: datetime.now(UTC))
    invocations: list[Invocation] | None = None  # None until the targets are looked up
    cancelled: bool = False

    @property
    def all(self) -> list[Invocation]:
        return self.invocations or []

    @property
    def is_open(self) -> bool:
        return self.invocations is None or any(one.is_open for one in self.invocations)

    def resolve(self, invocations: list[Invocation]) -> None:
        self.invocations = invocations
        if self.cancelled:
            for one in invocations:
                one.end("Cancelled")

    def find(self, instance_id: str) -> Invocation | None:
        return next((one for one in self.all if one.instance_id == instance_id), None)

    def count(self, *details: str) -> int:
        return sum(one.details in details for one in self.all)

    @property
    def errors(self) -> int:
        return self.count(*ERRORS)

    @property
    def errors_allowed(self) -> int:
        return share(self.max_errors, len(self.all))

    def next_to_send(self) -> list[Invocation]:
        """The invocations whose turn it is. After one error too many the rest is terminated instead."""
        waiting = [one for one in self.all if one.details == "Pending" and not one.is_sent]
        if self.errors > self.errors_allowed:
            for one in waiting:
                one.end("Terminated")
            return []
        free = max(1, share(self.max_concurrency, len(self.all))) - sum(one.is_sent for one in self.all)
        return waiting[: max(0, free)]

    @property
    def details(self) -> str:
        """Undeliverable invocations count neither for nor against the command, as AWS documents it."""
        if self.invocations is None:
            return "Pending"
        if self.is_open:
            begun = any(one.details != "Pending" for one in self.all)
            return "Cancelling" if self.cancelled else "InProgress" if begun else "Pending"
        return self._outcome()

    def _outcome(self) -> str:
        found = Counter(one.details for one in self.all)
        if not found:
            return "NoInstancesInTag"
        if found["Cancelled"]:
            return "Cancelled"
        if self.errors > self.errors_allowed:
            return "Failed" if found["Failed"] else "ExecutionTimedOut"
        if found["DeliveryTimedOut"] > self.errors_allowed:
            return "DeliveryTimedOut"
        return "Success" if set(found) <= {"Success", "Undeliverable"} else "Incomplete"

    @property
    def status(self) -> str:
        return STATUS.get(self.details, self.details)


def share(text: str, total: int) -> int:
    """`10` or `10%` of all targets, rounded down."""
    return total * int(text[:-1]) // 100 if text.endswith("%") else int(text)
