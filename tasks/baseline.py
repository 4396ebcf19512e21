"""What the database held when it was backed up, kept beside the backups: production moves on, a record doesn't."""

import gzip
import json
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks import aws, s3, verifier_role
from tasks.catalogue import Catalogue, read_catalogue
from tasks.content_baseline import ContentBaseline, Depth, take_baseline
from tasks.environment import Environment
from tasks.kinds import action, probe
from tasks.pace import Pace
from tasks.quiet_moment import open_quiet_moment
from tasks.report import say
from tasks.waiting import wait_until

PATIENCE_SECONDS = 15.0
CLOCK_SECONDS = 60  # more than two clocks may be apart


@dataclass(frozen=True)
class Baseline:
    """`taken_at` is exact when nobody was writing, and says so itself when somebody was."""

    content: ContentBaseline
    catalogue: Catalogue

    @property
    def taken_at(self) -> datetime:
        return self.content.cut.taken_at

    @property
    def is_exact(self) -> bool:
        return self.content.cut.is_exact

    @property
    def row_counts(self) -> dict[str, int]:
        return {name: table.total.rows for name, table in self.content.tables.items()}

    def to_json(self) -> str:
        return json.dumps({"content": self.content.to_json(), "catalogue": self.catalogue.to_json()})

    @classmethod
    def from_json(cls, text: str) -> "Baseline":
        found = json.loads(text)
        return cls(ContentBaseline.from_json(found["content"]), Catalogue.from_json(found["catalogue"]))


@action
def record_baseline(
    environment: Environment,
    name: str,
    *,
    before: Baseline | None = None,
    patience_seconds: float = 0.0,
    depth: Depth = "content",
) -> Baseline:
    """Read all of the database, as the role that can only read, and keep what it holds; a record of that name stays.

    Args:
        before: the record before this one, when a backup is made between the two.
        patience_seconds: how long to look for a moment in which nobody writes, which makes the record exact.
    """
    if found := find_in_bucket(environment.backup_bucket, name):
        return found
    with ExitStack() as stack:
        address = verifier_role.read_verifier_address(environment.environment)
        session, cut = stack.enter_context(open_quiet_moment(address, patience_seconds, whole_second=True))
        pace = Pace(session)
        earlier = before.content if before else None
        content = take_baseline(session, cut, before=earlier, pace=pace, depth=depth)
        baseline = Baseline(content, read_catalogue(session))
    say(f"recorded {content.rows} rows of {len(content.tables)} tables as of {cut}; {pace}")
    aws.client("s3").put_object(
        Bucket=environment.backup_bucket, Key=_key(name), Body=gzip.compress(baseline.to_json().encode(), mtime=0)
    )
    return baseline


@probe
def wait_for_next_second(before: Baseline) -> datetime:
    """A moment in whole seconds, as RDS restores them, behind all that the record may hold, and over."""
    moment = before.content.cut.latest.replace(microsecond=0) + timedelta(seconds=2)
    wait_until(
        "the clock",
        lambda: datetime.now(UTC),
        lambda now: now > moment,
        timeout_seconds=CLOCK_SECONDS,
        expected=f"a time after {moment.isoformat()}",
        shortest_poll_seconds=0.2,
    )
    return moment


@probe
def find_baseline(environment: Environment, name: str) -> Baseline | None:
    return find_in_bucket(environment.backup_bucket, name)


def find_in_bucket(bucket: str, name: str) -> Baseline | None:
    """Also for an environment that is lost, and whose bucket may be lost with it."""
    body = s3.find_object(bucket, _key(name))
    return None if body is None else Baseline.from_json(gzip.decompress(body).decode())


def _key(name: str) -> str:
    return f"baselines/{name}.json.gz"
