"""The versions that S3 keeps of a Terraform state, and when one of them may take the place of a lost or corrupt one."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from botocore.exceptions import ClientError

from tasks import aws
from tasks.change_lock import LOCK_TABLE
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.terraform_lock import StateAddress, wait_for_orphan

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MOST_VERSIONS = 50
DIGEST_DIGITS = 12
DELETED = "deleted"
EMPTY = "empty"
SERIAL = re.compile(rb'"serial":\s*(\d+)')  # near the top of a state, so most truncated ones still tell it
CHANGED_MEANWHILE = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


@dataclass(frozen=True)
class StateVersion:
    """One version of the state object. What it records is known by its digest only: a state can hold secrets."""

    id: str
    written: datetime
    is_current: bool
    size: int
    etag: str = ""
    serial: int = 0
    lineage: str = ""
    addresses: frozenset[str] = frozenset()
    digest: str = ""
    problem: str | None = None

    @property
    def is_readable(self) -> bool:
        return self.problem is None

    @property
    def resources(self) -> int:
        return len(self.addresses)

    def __str__(self) -> str:
        return f"{self.id} ({self.problem or f'serial {self.serial}, {self.resources} resources'})"


@dataclass(frozen=True)
class Restore:
    """One version on its way back: the serial is above every one that is known, so that nothing takes it for old."""

    version: StateVersion
    serial: int
    current: StateVersion
    newest: StateVersion  # that can be read and records anything
    is_done: bool

    @property
    def hash(self) -> str:
        """What a person approves; the same in a run that resumes half-way."""
        essence = f"{self.version.id} {self.version.digest} {self.serial}"
        return hashlib.sha256(essence.encode()).hexdigest()[:DIGEST_DIGITS]

    def differences(self) -> list[str]:
        """What the wanted version does not know, and what only it knows: the next plan makes or destroys that."""
        missing, extra = self.newest.addresses - self.version.addresses, self.version.addresses - self.newest.addresses
        return [f"not in it: {address}" for address in sorted(missing)] + [f"only in it: {a}" for a in sorted(extra)]

    def __str__(self) -> str:
        now = f"{self.current.id} ({self.current.problem or f'of lineage {self.current.lineage}'})"
        return f"state version {self.version} takes the place of {now} as serial {self.serial}"


class _Condition(TypedDict, total=False):
    IfMatch: str
    IfNoneMatch: str


@probe
def require_unlocked(state: StateAddress) -> None:
    """Nobody else's Terraform works on the state; one that a killed run of ours left behind is waited for."""
    wait_for_orphan(state)


@probe
def list_versions(state: StateAddress) -> tuple[StateVersion, ...]:
    """The newest versions first. Deleting the object made a version too.

    Raises:
        PreconditionFailed: there is none.
    """
    if found := find_versions.fn(state):
        return found
    raise PreconditionFailed(
        f"s3://{state.bucket}/{state.key} has no version at all, expected at least one. An environment that was"
        " never built is built by: python -m flows.deploy_infrastructure"
    )


@probe
def find_versions(state: StateAddress) -> tuple[StateVersion, ...]:
    """Those that there are, if any."""
    pages = _s3().get_paginator("list_object_versions").paginate(Bucket=state.bucket, Prefix=state.key)
    found: list[StateVersion] = []
    for page in pages:
        deleted = [m for m in page.get("DeleteMarkers", []) if m["Key"] == state.key]
        found += [StateVersion(m["VersionId"], m["LastModified"], m["IsLatest"], 0, problem=DELETED) for m in deleted]
        found += [
            StateVersion(v["VersionId"], v["LastModified"], v["IsLatest"], v["Size"], v["ETag"])
            for v in page.get("Versions", [])
            if v["Key"] == state.key
        ]
    newest = sorted(found, key=lambda v: (v.is_current, v.written), reverse=True)[:MOST_VERSIONS]
    return tuple(v if v.problem else _read(v, read_body(state, v.id)) for v in newest)


def table(versions: Sequence[StateVersion]) -> list[str]:
    """Markdown, a line per version."""
    head = ["| version | written | serial | lineage | resources | bytes | |", "|---|---|---|---|---|---|---|"]
    return head + [
        f"| `{v.id}` | {v.written:%Y-%m-%d %H:%M:%S} | {v.serial or ''} | {v.lineage[:8]} | {v.resources} | {v.size} |"
        f" {'current' if v.is_current else ''} {v.problem or ''} |"
        for v in versions
    ]


def plan_restore(versions: Sequence[StateVersion], wanted: str) -> Restore:
    """Whether and how the wanted version comes back.

    Raises:
        PreconditionFailed: it cannot be read or records another environment's life, or the current state is sound.
    """
    current = next(v for v in versions if v.is_current)
    version, newest = _require_usable(versions, wanted)
    others = [v.serial for v in versions if v is not current]
    is_same = current.is_readable and current.digest == version.digest
    serial = max(v.serial for v in versions) + 1
    if current.is_readable and current.lineage == version.lineage and not is_same:
        raise PreconditionFailed(
            f"the current state {current} can be read and is of the same lineage, expected a lost or corrupt one: an"
            " older record does not change the cloud, the next plan would destroy or make again what it does not know."
            " To take a change back, run: python -m flows.rollback_infrastructure --commit <sha of the change>"
        )
    return Restore(version, serial, current, newest, is_done=is_same and current.serial > max(others, default=0))


@action
def make_readable(state: StateAddress, restore: Restore) -> None:
    """Put the record where none can be read: Terraform refuses to push over a corrupt state, and gives an absent one a
    new lineage. Nothing is overwritten but what was looked at, and the bucket keeps that as a version too."""
    wait_for_orphan(state)
    current = next(v for v in list_versions.fn(state) if v.is_current)
    if current.is_readable:
        return
    forget_checksum(state)
    condition: _Condition = {"IfNoneMatch": "*"} if current.problem == DELETED else {"IfMatch": current.etag}
    body = read_content(state, restore, serial=restore.serial - 1).encode()
    try:
        _s3().put_object(Bucket=state.bucket, Key=state.key, Body=body, ContentType="application/json", **condition)
    except ClientError as error:
        if error.response["Error"]["Code"] not in CHANGED_MEANWHILE:
            raise
        raise PreconditionFailed(
            f"the state {state.key} was written by somebody else while this run looked at it, expected {current} still."
            " Nothing was changed. Look again: --restore-state-version list"
        ) from error


def read_content(state: StateAddress, restore: Restore, serial: int) -> str:
    """The record itself, with another serial."""
    content: dict[str, Any] = json.loads(read_body(state, restore.version.id))
    return json.dumps({**content, "serial": serial}, indent=2)


@probe
def require_restored(state: StateAddress, restore: Restore) -> StateVersion:
    """The current state records what the wanted version records, in the same lineage and with a higher serial."""
    current = next(v for v in list_versions.fn(state) if v.is_current)
    if (current.digest, current.lineage) != (restore.version.digest, restore.version.lineage):
        raise VerificationFailed(
            f"the state {state.key} is {current} of lineage {current.lineage or 'none'}, expected what"
            f" {restore.version} of lineage {restore.version.lineage} records. Every version is still in the bucket."
        )
    return current


def _require_usable(versions: Sequence[StateVersion], wanted: str) -> tuple[StateVersion, StateVersion]:
    version = next((v for v in versions if v.id == wanted), None)
    if version is None or not version.is_readable:
        seen = f"cannot be read: {version.problem}" if version else f"is none of the newest {len(versions)}"
        raise PreconditionFailed(
            f"state version {wanted} {seen}, expected a readable one. List them: --restore-state-version list"
        )
    newest = next((v for v in versions if v.is_readable and v.resources), version)
    if version.lineage != newest.lineage:
        raise PreconditionFailed(
            f"state version {wanted} is of lineage {version.lineage}, expected {newest.lineage}, which recorded"
            f" resources last: what version {newest.id} records would be forgotten"
        )
    return version, newest


def _read(version: StateVersion, body: bytes) -> StateVersion:
    about = {**version.__dict__}
    if not body:
        return StateVersion(**{**about, "problem": EMPTY})
    try:
        state = json.loads(body)
        about |= {"serial": int(state["serial"]), "lineage": str(state["lineage"])}
        about["addresses"] = frozenset(_addresses(state["resources"]))
        record = [state["lineage"], state.get("outputs"), state["resources"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        serial = SERIAL.search(body)
        about["serial"] = int(serial[1]) if serial else 0
        return StateVersion(**{**about, "problem": f"corrupt: {type(error).__name__} {error}"})
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return StateVersion(**{**about, "digest": digest})


def _addresses(resources: list[dict[str, Any]]) -> Iterator[str]:
    for resource in (r for r in resources if r["mode"] == "managed"):
        address = ".".join(filter(None, (resource.get("module"), resource["type"], resource["name"])))
        for instance in resource["instances"]:
            yield address + (f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else "")


def forget_checksum(state: StateAddress) -> None:
    """Who locks with DynamoDB has a checksum of the lost object there, which would forbid every later read (D28)."""
    aws.client("dynamodb").delete_item(TableName=LOCK_TABLE, Key={"LockID": {"S": f"{state.bucket}/{state.key}-md5"}})


def read_body(state: StateAddress, version_id: str) -> bytes:
    return _s3().get_object(Bucket=state.bucket, Key=state.key, VersionId=version_id)["Body"].read()


def _s3() -> "S3Client":
    client: S3Client = aws.client("s3")
    return client
