"""What a check found, in four verdicts. Unknown is not OK: a component that could not be looked at is a finding."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from tasks.errors import RunbookError, VerificationFailed

Verdict = Literal["ok", "warn", "fail", "unknown"]
T = TypeVar("T")


class Attention(RunbookError):
    """It works, and somebody should look at it in working hours."""


@dataclass(frozen=True)
class Finding:
    component: str
    verdict: Verdict
    observed: str


def judge(component: str, look: Callable[[], str]) -> Finding:
    """Run one look; it returns what it saw, or raises what is wrong with it."""
    try:
        return Finding(component, "ok", look())
    except Attention as attention:
        return Finding(component, "warn", str(attention))
    except RunbookError as failure:
        return Finding(component, "fail", str(failure))
    except (BotoCoreError, ClientError) as blind:
        return Finding(component, "unknown", f"could not be looked at: {blind}")


def table(findings: Iterable[Finding]) -> str:
    rows = [f"| {f.component} | {f.verdict} | {f.observed} |" for f in findings]
    return "\n".join(["| component | verdict | observed |", "|---|---|---|", *rows])


def as_json(findings: Iterable[Finding]) -> str:
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def require_none_bad(findings: Iterable[Finding]) -> None:
    """Fails on fail and on unknown; a warning leaves the run green."""
    if found := bad(findings):
        raise VerificationFailed("; ".join(f"{f.component} {f.verdict}: {f.observed}" for f in found))


def bad(findings: Iterable[Finding]) -> list[Finding]:
    return [f for f in findings if f.verdict in ("fail", "unknown")]
