"""A drill's journal: one versioned object in the state bucket, written before each thing that it tells of is done."""

import json
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks import aws, change_lock, s3, state_backend, terraform
from tasks.change_lock import Lease
from tasks.drill import BlastRadius, Situation, Target
from tasks.environment import Environment
from tasks.kinds import action, probe
from tasks.traffic import Traffic

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Outcome = Literal["unfinished", "proven", "failed"]
MOST_JOURNALS = 300
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Mark:
    """When something had come to pass. `monotonic_ns` counts from the boot of the machine: comparable within `boot`."""

    name: str
    monotonic_ns: int
    wall_ns: int
    boot: str


@dataclass
class Journal:
    """All that an undo or a scorecard needs to know of one drill. It holds no secrets."""

    run_id: str
    scenario: str
    plan_hash: str
    environment: Environment
    radius: BlastRadius
    began_at: str
    memory: dict[str, Any] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    lost_seconds: float | None = None
    outcome: Outcome = "unfinished"
    ended_at: str = ""
    _seen: Callable[[], Traffic] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"drill {self.scenario} of {self.began_at:.16} (run {self.run_id})"

    @property
    def name(self) -> str:
        return f"drill-{change_lock.shorten(self.run_id)}"

    def situation(self, lease: Lease | None = None) -> Situation:
        return Situation(self.environment, self.radius.targets, self.name, self.memory, self.remember, lease)

    def remember(self, key: str, value: Any) -> None:
        self.memory[key] = value
        self.save()

    def begin(self, step: str) -> None:
        if step not in self.begun:
            self.begun.append(step)
            self.save()

    def undo(self, step: str) -> None:
        self.undone.append(step)
        self.save()

    def watch(self, now: Traffic) -> None:
        """Each save writes down what this probe has seen so far, added to what an earlier run's had."""
        before = self.traffic
        self._seen = lambda: before + now

    def mark(self, name: str) -> None:
        """The first time counts, also when a run that resumes comes by again."""
        if not self.has(name):
            self.marks.append(Mark(name, time.monotonic_ns(), time.time_ns(), _boot()))
            self.save()

    def has(self, name: str) -> bool:
        return any(mark.name == name for mark in self.marks)

    def fail(self, reason: str) -> None:
        if reason not in self.failures:
            self.failures.append(reason)
            self.save()

    def end(self) -> None:
        self.outcome = "failed" if self.failures else "proven"
        self.ended_at = datetime.now(UTC).isoformat()
        self.save()

    def save(self) -> None:
        self.traffic = self._seen() if self._seen else self.traffic
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "_seen"}
        body = json.dumps(told, default=asdict)
        write_journal(_key(self.environment.environment, self.run_id), body)


def begin_journal(scenario: str, plan_hash: str, environment: Environment, radius: BlastRadius) -> Journal:
    began_at = datetime.now(UTC).isoformat()
    journal = Journal(change_lock.run_id(), scenario, plan_hash, environment, radius, began_at)
    journal.save()
    return journal


@action
def write_journal(key: str, body: str) -> None:
    _s3().put_object(Bucket=terraform.state_bucket(), Key=key, Body=body, ContentType="application/json")


@probe
def find_journal(environment: str, run_id: str) -> Journal | None:
    bucket = terraform.state_bucket()
    body = s3.find_object(bucket, _key(environment, run_id)) if state_backend.bucket_exists(bucket) else None
    return None if body is None else _read(body)


@probe
def list_journals(environment: str) -> tuple[Journal, ...]:
    """The last drills, oldest first."""
    if not state_backend.bucket_exists(terraform.state_bucket()):
        return ()
    bodies = s3.read_below(terraform.state_bucket(), f"drills/{environment}/", MOST_JOURNALS)
    return tuple(sorted(map(_read, bodies), key=lambda one: one.began_at))


def unfinished(journals: tuple[Journal, ...]) -> tuple[Journal, ...]:
    """Drills of other runs that were not taken back: their runs were killed, or live."""
    return tuple(one for one in journals if one.outcome == "unfinished" and one.run_id != change_lock.run_id())


def _key(environment: str, run_id: str) -> str:
    return f"drills/{environment}/{run_id}.json"


def _read(body: bytes) -> Journal:
    found: dict[str, Any] = json.loads(body)
    told, radius = found["environment"], found["radius"]
    # A journal outlives the version that wrote it: an output that Terraform did not have then is empty.
    where: dict[str, Any] = {one.name: _frozen(told.get(one.name, "")) for one in fields(Environment)}
    found |= {
        "environment": Environment(**where),
        "radius": BlastRadius(tuple(Target(**one) for one in radius["targets"]), radius["users"], radius["usd"]),
        "marks": [Mark(**one) for one in found["marks"]],
        "traffic": Traffic(**found["traffic"]),
    }
    return Journal(**found)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@cache
def _boot() -> str:
    """Where the kernel does not say, no two processes are taken to share a clock."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else f"{socket.gethostname()}-{time.time_ns()}"


def _s3() -> "S3Client":
    client: S3Client = aws.client("s3")
    return client
