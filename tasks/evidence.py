"""What verifications have found, kept beside the backups: how the last ones went, and how long a restore takes."""

import json
import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tasks import aws, change_lock, s3
from tasks.environment import Environment
from tasks.kinds import action, probe
from tasks.verdict import Verdict

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SHOWN = 12
BAR_CHARACTERS = 30


@dataclass(frozen=True)
class Evidence:
    """One verification. Times in seconds; `restore_seconds` is what a real recovery would wait for, part of its RTO.

    `copy` is the restored copy that is still to be judged by what would write into it; None when all was judged.
    """

    run_id: str
    ended_at: str
    point: str
    restore_seconds: float
    verify_seconds: float
    verdicts: tuple[Verdict, ...]
    copy: str | None = None

    @property
    def is_good(self) -> bool:
        return all(verdict.is_good for verdict in self.verdicts)


@action
def record(
    environment: Environment,
    point: str,
    restore_seconds: float,
    verify_seconds: float,
    verdicts: Sequence[Verdict],
    copy: str | None = None,
    run_id: str | None = None,
) -> Evidence:
    """Before the copy is written into, and before it is removed: a run that is killed then does not judge it again."""
    ended_at = datetime.now(UTC).isoformat()
    run_id = run_id or change_lock.run_id()
    found = Evidence(run_id, ended_at, point, restore_seconds, verify_seconds, tuple(verdicts), copy)
    _s3().put_object(
        Bucket=environment.backup_bucket,
        Key=_key(found.run_id),
        Body=json.dumps(asdict(found)),
        ContentType="application/json",
    )
    return found


def keep_docs(environment: Environment, folder: Path) -> str:
    """Great Expectations' pages beside the backups; where to look at them."""
    prefix = f"data-docs/{change_lock.run_id()}"
    for page in sorted(one for one in folder.rglob("*") if one.is_file()):
        _s3().put_object(
            Bucket=environment.backup_bucket,
            Key=f"{prefix}/{page.relative_to(folder)}",
            Body=page.read_bytes(),
            ContentType=mimetypes.guess_type(page.name)[0] or "application/octet-stream",
        )
    where = f"object/{environment.backup_bucket}?prefix={prefix}/index.html"
    return f"[Data Docs](https://{environment.region}.console.aws.amazon.com/s3/{where})"


@probe
def find(environment: Environment, run_id: str) -> Evidence | None:
    """What this run has already found, of everything or of a copy."""
    body = s3.find_object(environment.backup_bucket, _key(run_id))
    return None if body is None else _read(body)


@probe
def list_recent(environment: Environment) -> tuple[Evidence, ...]:
    """The last verifications that came to their end, oldest first."""
    found = map(_read, s3.read_below(environment.backup_bucket, _key(""), SHOWN))
    return tuple(one for one in found if one.copy is None)


def usual_restore_seconds(past: Sequence[Evidence]) -> float | None:
    return median(one.restore_seconds for one in past) if past else None


def page(one: Evidence, past: Sequence[Evidence]) -> Iterator[str]:
    """What a person looks at, as lines of Markdown: the verdict of each layer, the times, and how it went before."""
    yield "| layer | verdict | what was seen |"
    yield "|---|---|---|"
    for verdict in one.verdicts:
        seen = "<br>".join(_in_a_cell(line) for line in (*verdict.reasons, *verdict.facts))
        yield f"| {verdict.layer} | {'verified' if verdict.is_good else '**NOT VERIFIED**'} | {seen} |"
    yield f"of {one.point}: restored in {one.restore_seconds:.0f} s, verified in {one.verify_seconds:.0f} s"
    yield from _picture(past)


def _picture(past: Sequence[Evidence]) -> Iterator[str]:
    """The restore time of each verification as a bar."""
    longest = max((one.restore_seconds for one in past), default=0.0) or 1.0
    yield "| ended (UTC) | verified | restore took |"
    yield "|---|---|---|"
    for one in past:
        bar = "█" * max(round(BAR_CHARACTERS * one.restore_seconds / longest), 1)
        ended = datetime.fromisoformat(one.ended_at)
        yield f"| {ended:%Y-%m-%d %H:%M} | {'yes' if one.is_good else 'NO'} | {bar} {one.restore_seconds:.0f} s |"


def _in_a_cell(line: str) -> str:
    return line.replace("|", "\\|").replace("\n", " ")


def _read(body: bytes) -> Evidence:
    found = json.loads(body)
    verdicts = tuple(Verdict(one["layer"], tuple(one["reasons"]), tuple(one["facts"])) for one in found["verdicts"])
    return Evidence(**{**found, "verdicts": verdicts})


def _key(run_id: str) -> str:
    return f"verifications/{run_id}{'.json' if run_id else ''}"


def _s3() -> "S3Client":
    client: S3Client = aws.client("s3")
    return client
