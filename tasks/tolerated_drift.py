"""Drift that somebody decided to live with for a while: who, why, and until when."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from tasks import aws, change_lock, s3
from tasks.cloudtrail import Call, latest_of
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.terraform import state_bucket
from tasks.terraform_drift import Drift


@dataclass(frozen=True)
class Tolerance:
    """Of one resource, until a date; then the drift is a finding again."""

    address: str
    until: str
    reason: str
    run_id: str

    @property
    def is_over(self) -> bool:
        return datetime.now(UTC) > datetime.fromisoformat(self.until)

    def __str__(self) -> str:
        return f"tolerated until {self.until}: {self.reason} (run {self.run_id})"


def require_reason(addresses: Sequence[str], until: datetime | None, reason: str) -> None:
    """
    Raises:
        PreconditionFailed: drift is to be ignored for ever, or nobody says why.
    """
    if addresses and (until is None or not reason.strip()):
        raise PreconditionFailed(
            f"ignore names {', '.join(addresses)}, expected with it a date in `until` and a `reason`:"
            " drift is tolerated for a while and on purpose, or it is adopted into the code, or reverted"
        )
    if until and until <= datetime.now(UTC):
        raise PreconditionFailed(f"until is {until:%Y-%m-%d %H:%M} UTC, expected a time that is still to come")


def require_found(addresses: Sequence[str], found: Sequence[Drift]) -> None:
    if unknown := sorted(set(addresses) - {one.address for one in found}):
        raise PreconditionFailed(f"ignore names {', '.join(unknown)}, which did not drift: read the table again")


@action
def tolerate(environment: str, address: str, until: datetime, reason: str) -> None:
    """Write the decision down; a later one about the same resource takes its place."""
    decided = Tolerance(address, f"{until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", reason, change_lock.run_id())
    key = f"{_prefix(environment)}{quote(address, safe='')}.json"
    aws.client("s3").put_object(
        Bucket=state_bucket(), Key=key, Body=json.dumps(asdict(decided)), ContentType="application/json"
    )


@probe
def list_tolerances(environment: str) -> dict[str, Tolerance]:
    """By address."""
    found = (Tolerance(**json.loads(body)) for body in s3.read_below(state_bucket(), _prefix(environment)))
    return {one.address: one for one in found}


def page(found: Sequence[Drift], calls: Sequence[Call], tolerated: Mapping[str, Tolerance]) -> Iterator[str]:
    """One line of Markdown per drift: what is there, what the code says, who did it, and what was decided about it."""
    yield "| resource | what is there | who | decided |"
    yield "|---|---|---|---|"
    for one in found:
        call = latest_of(calls, one.names)
        who = "the code: it was changed and not applied" if one.is_ours else str(call or "nobody in the event history")
        seen = "<br>".join(f"{v.name}: {v.found!r}, code: {v.wanted!r}" for v in one.values)
        cells = (f"`{one.address}`", "it is gone" if one.is_gone else seen, who, tolerated.get(one.address, "nothing"))
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def require_none_left(environment: str, found: Sequence[Drift], tolerated: Mapping[str, Tolerance]) -> None:
    """
    Raises:
        VerificationFailed: the cloud is not what the code says, and nobody has said that it may differ now.
    """
    left = [one for one in found if one.address not in tolerated or tolerated[one.address].is_over]
    if left:
        raise VerificationFailed(
            f"{len(left)} resources of {environment} are not as the code says, expected 0: {'; '.join(map(str, left))}."
            " Adopt: write what is there into terraform/."
            f" Revert: python -m flows.deploy_infrastructure --environment {environment}."
            " Tolerate: this procedure with ignore, until and reason"
        )


def _prefix(environment: str) -> str:
    return f"drift/{environment}/"
