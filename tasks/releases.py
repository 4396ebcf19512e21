"""The releases by time: which were proven, what each needs of the schema, and which one a rollback takes (N07)."""

from dataclasses import dataclass
from datetime import datetime

from tasks import aws, ecr
from tasks.ecr import Image
from tasks.environment import Environment, parameter_name
from tasks.errors import PreconditionFailed
from tasks.kinds import probe
from tasks.replacement import RECORD
from tasks.report import say

MOST = 20
SCHEMA_LABELS = ("app.schema.minimum", "app.schema.maximum")
REVISION_LABEL = "org.opencontainers.image.revision"


@dataclass(frozen=True)
class Release:
    """An image, the schema versions that it declares to run on, and when it was first proven to serve here."""

    image: Image
    schema: tuple[int, int] | None
    revision: str | None
    proven_at: datetime | None

    def starts_on(self, version: int) -> bool:
        """A release that declares no range might start; unknown is not OK."""
        return self.schema is not None and self.schema[0] <= version <= self.schema[1]

    def __str__(self) -> str:
        runs_on = f"{self.schema[0]} to {self.schema[1]}" if self.schema else "unknown versions"
        return f"{self.image}, which runs on schema {runs_on}"


@probe
def find_releases(environment: Environment) -> tuple[Release, ...]:
    """The newest images in the repository, newest first."""
    proven = _proven(environment)
    found = []
    for image in ecr.describe_images.fn(MOST):
        labels = ecr.read_labels(image)
        numbers = [labels[name] for name in SCHEMA_LABELS if labels.get(name, "").isdigit()]
        schema = (int(numbers[0]), int(numbers[1])) if len(numbers) == len(SCHEMA_LABELS) else None
        found.append(Release(image, schema, labels.get(REVISION_LABEL) or None, proven.get(image.digest)))
    return tuple(found)


def say_releases(releases: tuple[Release, ...], running: str, schema: int) -> None:
    say(f"the database's schema is version {schema}")
    say("| release | pushed | proven here | schema | starts today |")
    say("|---|---|---|---|---|")
    for one in releases:
        name = f"{one.image}{' (runs now)' if one.image.digest == running else ''}"
        proven = f"{one.proven_at:%Y-%m-%d %H:%M}" if one.proven_at else "never"
        needs = f"{one.schema[0]} to {one.schema[1]}" if one.schema else "unknown"
        starts = "yes" if one.starts_on(schema) else "no"
        say(f"| {name} | {one.image.pushed_at:%Y-%m-%d %H:%M} | {proven} | {needs} | {starts} |")


def plan_target(releases: tuple[Release, ...], running: str, schema: int, asked: str | None) -> Release:
    """The release to go back to: the one asked for, else the last one proven before the newest.

    "The newest" is what runs when it was never proven, else what was proven last: so a second rollback without a name
    finds that the first one has been there, and goes no further.

    Raises:
        PreconditionFailed: there is none, or it can't start on today's schema; the nearest that can is named.
    """
    target = named(releases, asked) if asked else _before_newest(releases, running)
    if target.starts_on(schema):
        return target
    others = [one for one in _proven_order(releases) if one.image.digest != running and one.starts_on(schema)]
    way_out = (
        f"The nearest that can: --to {others[0].image.digest} ({others[0]})"
        if others
        else "No proven release can: mend the one that runs and deploy it (a forward fix)"
    )
    raise PreconditionFailed(
        f"{target}, can't start on version {schema} that the database has, expected a release that can."
        f" Nothing was changed. {way_out}."
    )


def highest_schema(releases: tuple[Release, ...], running: str) -> int:
    """How far the schema can have been brought by what ever ran here, for when the running release does not tell.

    Raises:
        PreconditionFailed: what ran does not declare it.
    """
    ran = [one for one in releases if one.proven_at or one.image.digest == running]
    ranges = [one.schema for one in ran]
    if not ranges or None in ranges:
        raise PreconditionFailed(
            "the application does not tell its schema version, and what ran here does not declare its range in the"
            f" labels {' and '.join(SCHEMA_LABELS)}, expected either. Nothing was changed. Give the images"
            " these labels, or mend the application so far that /ready answers."
        )
    return max(found[1] for found in ranges if found)


def _before_newest(releases: tuple[Release, ...], running: str) -> Release:
    proven = _proven_order(releases)
    is_proven = any(one.image.digest == running for one in proven)
    earlier = proven[1:] if is_proven else proven
    if not earlier:
        raise PreconditionFailed(
            "no earlier release was ever proven to serve here, expected one to go back to. Nothing was changed."
            " Name one by its digest: --to sha256:..."
        )
    return earlier[0]


def named(releases: tuple[Release, ...], digest: str) -> Release:
    wanted = ecr.describe_image.fn(digest)
    found = next((one for one in releases if one.image.digest == wanted.digest), None)
    if found is None:
        raise PreconditionFailed(f"{wanted} is not among the newest {MOST} images, expected one of them")
    return found


def _proven_order(releases: tuple[Release, ...]) -> list[Release]:
    """Those that were proven, the one that was first proven last in front."""
    proven = [(one.proven_at, one) for one in releases if one.proven_at]
    return [one for _, one in sorted(proven, key=lambda pair: pair[0], reverse=True)]


def _proven(environment: Environment) -> dict[str, datetime]:
    """When each digest was first recorded as verified. The parameter keeps its last 100 values."""
    ssm = aws.client("ssm")
    pages = ssm.get_paginator("get_parameter_history").paginate(Name=parameter_name(environment.environment, RECORD))
    found: dict[str, datetime] = {}
    try:
        for page in pages:
            for record in page["Parameters"]:
                digest, at = record["Value"].split(" ")[0].rpartition("@")[2], record["LastModifiedDate"]
                found[digest] = min(at, found.get(digest, at))
    except ssm.exceptions.ParameterNotFound:
        return {}
    return found
