"""A person's yes to one plan, given without a run that asks: kept in AWS, by who gave it, for some hours."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from tasks import aws
from tasks.environment import keep_parameter, read_parameters

FOLDER = "approval"
VALID = timedelta(hours=4)


@dataclass(frozen=True)
class Grant:
    """`identity` is who AWS says it was; `by` is the name that was given."""

    plan: str
    by: str
    because: str
    identity: str
    given_at: str

    @property
    def expires_at(self) -> datetime:
        return datetime.fromisoformat(self.given_at) + VALID

    def __str__(self) -> str:
        return f"{self.by} ({self.identity}) at {self.given_at}: {self.because}"


def give(environment: str, plan: str, by: str, because: str) -> Grant:
    """One an identity: its second yes takes the place of its first."""
    identity = aws.client("sts").get_caller_identity()["Arn"]
    given = Grant(plan, by.strip(), because.strip(), identity, datetime.now(UTC).isoformat(timespec="seconds"))
    who = hashlib.sha256(identity.encode()).hexdigest()[:12]
    keep_parameter(environment, f"{FOLDER}/{plan}/{who}", json.dumps(asdict(given)))
    return given


def find_valid(environment: str, plan: str, now: datetime) -> tuple[Grant, ...]:
    """Oldest first; what has expired is as if it had never been."""
    found = [Grant(**json.loads(text)) for text in read_parameters(environment, f"{FOLDER}/{plan}").values()]
    return tuple(sorted((one for one in found if one.expires_at > now), key=lambda one: one.given_at))


def count_people(grants: Iterable[Grant]) -> int:
    """Two identities behind one name are one person."""
    return len({_same(one.by) for one in grants})


def is_same_person(one: str, other: str) -> bool:
    return _same(one) == _same(other)


def _same(name: str) -> str:
    return " ".join(name.casefold().split())
