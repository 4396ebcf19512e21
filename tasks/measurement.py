"""What a change may not make worse: the same look before it and after it (N12)."""

import json
from dataclasses import asdict, dataclass

from tasks import application, cloudwatch, elbv2
from tasks.environment import Environment, find_parameter, keep_parameter
from tasks.errors import VerificationFailed
from tasks.kinds import action, probe
from tasks.report import say

VISITS = 40
RECORD = "measured-before-change"
# Ours, not AWS's: noise of a healthy service stays below, a change that a user notices does not.
GROWTH = 1.5
P95_NOISE_MS = 50.0
CONNECTIONS_NOISE = 10


@dataclass(frozen=True)
class Measurement:
    """`p95_ms` and `failures` of so many requests to /ready from outside; `connections` of the database, if known."""

    p95_ms: float
    failures: int
    healthy: int
    connections: float | None

    def __str__(self) -> str:
        known = "unknown" if self.connections is None else f"{self.connections:.0f}"
        return (
            f"p95 {self.p95_ms:.0f} ms, {self.failures} of {VISITS} requests failed, {self.healthy} healthy targets,"
            f" {known} database connections"
        )


@action
def measure_before(environment: Environment, change: str, *, begins: bool) -> Measurement:
    """How the service was before `change`: measured when it begins, remembered for a run that resumes in its middle."""
    if not begins and (known := _recall(environment, change)):
        return known
    found = measure.fn(environment)
    note = json.dumps({"change": change, "measured": asdict(found)})
    keep_parameter(environment.environment, RECORD, note)
    return found


@probe
def measure(environment: Environment) -> Measurement:
    visits = application.visit(environment, VISITS)
    return Measurement(
        p95_ms=sorted(visit.milliseconds for visit in visits)[int(0.95 * (len(visits) - 1))],
        failures=sum(not visit.answer.is_well for visit in visits),
        healthy=elbv2.count_healthy(environment),
        connections=cloudwatch.latest_maximum(
            "AWS/RDS", "DatabaseConnections", DBInstanceIdentifier=environment.db_identifier
        ),
    )


def worse(before: Measurement, after: Measurement) -> list[str]:
    """In what `after` is worse, each with both values."""
    found = []
    if after.p95_ms > before.p95_ms * GROWTH + P95_NOISE_MS:
        found.append(f"p95 went from {before.p95_ms:.0f} to {after.p95_ms:.0f} ms")
    if after.failures > before.failures:
        found.append(f"failed requests went from {before.failures} to {after.failures} of {VISITS}")
    if after.healthy < before.healthy:
        found.append(f"healthy targets went from {before.healthy} to {after.healthy}")
    if before.connections is not None and after.connections is None:
        found.append(f"database connections were {before.connections:.0f} and are unknown now")
    elif before.connections and (after.connections or 0) > before.connections * GROWTH + CONNECTIONS_NOISE:
        found.append(f"database connections went from {before.connections:.0f} to {after.connections:.0f}")
    return found


@dataclass
class Comparison:
    """How the service is before and after one change."""

    environment: Environment
    change: str
    begins: bool
    before: Measurement | None = None

    def remember(self) -> None:
        self.before = measure_before(self.environment, self.change, begins=self.begins)
        say(f"before: {self.before}")

    def require_no_worse(self) -> None:
        """
        Raises:
            VerificationFailed: the change made the service worse, or nothing is known of before.
        """
        after = measure(self.environment)
        say(f"after: {after}")
        reasons = worse(self.before, after) if self.before else ["it was not measured before"]
        if reasons:
            raise VerificationFailed(f"the service is worse than before the change: {'; '.join(reasons)}")


def _recall(environment: Environment, change: str) -> Measurement | None:
    found = find_parameter(environment.environment, RECORD)
    if found is None:
        return None
    note = json.loads(found)
    return Measurement(**note["measured"]) if note["change"] == change else None
