"""May this change go on? Asked before it and between its steps: allow, slow or refuse, with the reasons (N06).

A cure is never refused: what the gate would hold against it is what it cures. What could not be looked at is not OK in
production: it slows a change down, and refuses a risky one.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from tasks import application, autoscaling, aws, change_calendar, change_lock, cloudwatch, elbv2, error_budget
from tasks import evidence as verifications
from tasks import incident as incidents
from tasks.environment import Environment, describe_environment, keep_parameter, parameter_name, read_outputs
from tasks.errors import PreconditionFailed
from tasks.finding import Attention, Finding, judge, table
from tasks.kinds import action, probe
from tasks.report import say

Answer = Literal["allow", "slow", "refuse"]
Purpose = Literal["change", "cure"]
Risk = Literal["low", "high"]
# Where users were promised something. Elsewhere the same signals are shown and hold nothing back.
PROMISED = ("prod",)
PROMISES = ("error budget", "proven backup")
URGENT = ("P0", "P1", "P2")
# Backups are proven twice a month; one that is older than this was missed twice.
OLDEST_PROOF = timedelta(days=35)
OVERRIDE = "gate-override"
VISITS_PER_LOOK = 3
# Two failures in one look, or in two looks in a row: one alone may be the network between us and the load balancer.
FAILURES_TO_STOP = 2


@dataclass(frozen=True)
class Decision:
    environment: str
    answer: Answer
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def is_slow(self) -> bool:
        return self.answer == "slow"

    @property
    def is_refusal(self) -> bool:
        return self.answer == "refuse"

    def __str__(self) -> str:
        return f"{self.answer}{': ' if self.reasons else ''}{'; '.join(self.reasons)}"


def require_allowed(
    environment: str, *, purpose: Purpose = "change", risk: Risk = "low", despite: str | None = None
) -> Decision:
    """Look at everything that speaks against a change now, and go on only if it is not too much.

    Args:
        purpose: a cure is for what is broken already.
        risk: high is what may interrupt the service, or can't be taken back by itself.
        despite: why a person goes on although the answer is no.

    Raises:
        PreconditionFailed: refused, with the reasons. Nothing was changed.
    """
    decision = decide(environment, look(environment), purpose, risk)
    for line in table(decision.findings).splitlines():
        say(line)
    say(f"the gate says {decision}")
    if decision.is_refusal and not (despite and despite.strip()):
        raise PreconditionFailed(
            f"{environment} may not be changed now: {'; '.join(decision.reasons)}. Mend that or wait; in an emergency"
            " give the reason: --despite ..."
        )
    return decision


def enter(environment: str, *, purpose: Purpose = "change", risk: Risk = "low", despite: str | None = None) -> Decision:
    """As `require_allowed`, for the moment when the change begins: hours may lie between the plan and its approval.

    That a person went on although the answer was no is written down.
    """
    decision = require_allowed(environment, purpose=purpose, risk=risk, despite=despite)
    if decision.is_refusal:
        record_override(decision, str(despite))
    return decision


@probe
def look(environment: str) -> tuple[Finding, ...]:
    """Every signal; of an environment that is not built yet only those that do not need it."""
    by_name = tuple(judge(name, partial(ask, environment)) for name, ask in BY_NAME.items())
    try:
        where = describe_environment.fn(environment) if _is_built(environment) else None
    except PreconditionFailed as half_built:
        return (*by_name, Finding("environment", "unknown", str(half_built)))
    if where is None:
        return (*by_name, Finding("environment", "ok", "nothing is built yet that a change could harm"))
    return (*by_name, *(judge(name, partial(ask, where)) for name, ask in SIGNALS.items()))


def decide(environment: str, findings: tuple[Finding, ...], purpose: Purpose, risk: Risk) -> Decision:
    """
    Args:
        findings: fail refuses, warn slows down; what is unknown does as much as the risk deserves.
    """
    weights = {one: _weigh(one, environment, risk) for one in findings}
    answer = max(weights.values(), key=ANSWERS.index)
    reasons = tuple(f"{one.component}: {one.observed}" for one, weight in weights.items() if weight == answer)
    if answer == "allow":
        return Decision(environment, "allow", (), findings)
    if purpose == "cure":
        reasons = ("a cure is not held back", *reasons)
        return Decision(environment, "allow", reasons, findings)
    return Decision(environment, answer, reasons, findings)


ANSWERS: tuple[Answer, ...] = ("allow", "slow", "refuse")


def _weigh(one: Finding, environment: str, risk: Risk) -> Answer:
    if environment not in PROMISED and (one.component in PROMISES or one.verdict == "unknown"):
        return "allow"
    if one.verdict == "unknown":
        return "refuse" if risk == "high" else "slow"
    if one.component in PROMISES and one.verdict == "warn" and risk == "high":
        return "refuse"
    return {"ok": ANSWERS[0], "warn": ANSWERS[1], "fail": ANSWERS[2]}[one.verdict]


@action
def record_override(decision: Decision, because: str) -> None:
    """Beside the outputs, where SSM keeps the last hundred of them, with the run that went on."""
    said = {
        "because": because.strip(),
        "caller": aws.caller.get(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "refused": [reason[:300] for reason in decision.reasons],
    }
    keep_parameter(decision.environment, OVERRIDE, json.dumps(said))
    name = parameter_name(decision.environment, OVERRIDE)
    say(f"OVERRIDDEN because: {because.strip()}. It is written down in the SSM parameter {name}")


def _is_built(environment: str) -> bool:
    return bool({one.name for one in fields(Environment)} & set(read_outputs(environment)))


def _other_change(environment: str) -> str:
    change_lock.require_free.fn(environment)
    return "none"


def _incidents(environment: str) -> str:
    found = incidents.find_open(environment)
    if urgent := [str(one) for one in found if one.priority in URGENT]:
        raise PreconditionFailed(f"{', '.join(urgent)}; expected none that is urgent")
    if found:
        raise Attention(", ".join(map(str, found)))
    return "none is open"


def _calendar(environment: str) -> str:
    if freeze := change_calendar.read_calendar().freeze(environment, datetime.now(UTC)):
        raise PreconditionFailed(str(freeze))
    return "no freeze"


def _alarms(where: Environment) -> str:
    if firing := cloudwatch.firing_alarms(where.critical_alarm_names):
        raise PreconditionFailed(
            f"{where} has critical alarms in state ALARM: {', '.join(firing)}. Expected none:"
            " a change would be blamed for them, and AWS would roll it back at once"
        )
    if warnings := cloudwatch.firing_alarms(where.warning_alarm_names) if where.warning_alarm_names else []:
        raise Attention(f"warnings in state ALARM: {', '.join(warnings)}")
    return "none fires"


def _error_budget(where: Environment) -> str:
    budget = error_budget.read_budget(where.alb_arn, datetime.now(UTC))
    if not budget.is_used:
        return f"untouched: nobody asked for anything in {error_budget.PERIOD.days} days"
    if burns := budget.burning(error_budget.PAGES):
        raise PreconditionFailed(f"it burns {burns[0]:.1f} times too fast over {burns[1]}, and still does; {budget}")
    if budget.left <= 0:
        raise PreconditionFailed(f"{budget}, expected more than 0 %: only what makes the service better is welcome")
    if burns := budget.burning(error_budget.TICKETS):
        raise Attention(f"it burns {burns[0]:.1f} times too fast over {burns[1]}; {budget}")
    if budget.left < error_budget.LOW:
        raise Attention(str(budget))
    return str(budget)


def _proven_backup(where: Environment) -> str:
    """Stale is a warning, which refuses what is risky: that is what a backup is there for."""
    good = [one for one in verifications.list_recent.fn(where) if one.is_good]
    if not good:
        raise Attention(f"none was ever proven: python -m flows.verify_backup --environment {where.environment}")
    age = datetime.now(UTC) - datetime.fromisoformat(good[-1].ended_at)
    seen = f"the last one was {good[-1].point}, {age.days} days ago"
    if age > OLDEST_PROOF:
        raise Attention(f"{seen}, expected at most {OLDEST_PROOF.days}")
    return seen


def _capacity(where: Environment) -> str:
    """Never refuses: what is short of instances may be what the change mends."""
    healthy = elbv2.count_healthy(where)
    try:
        group = autoscaling.describe_group.fn(where.asg_name)
    except PreconditionFailed as strange:
        raise Attention(str(strange)) from strange
    seen = f"{healthy} of {group.desired_capacity} targets are healthy, at most {group.max_size}"
    if healthy < group.desired_capacity:
        raise Attention(f"{seen}; expected all")
    if group.desired_capacity == group.max_size > group.min_size:
        raise Attention(f"{seen}: the group is at its maximum already")
    return seen


BY_NAME: dict[str, Callable[[str], str]] = {
    "other change": _other_change,
    "incidents": _incidents,
    "calendar": _calendar,
}
SIGNALS: dict[str, Callable[[Environment], str]] = {
    "alarms": _alarms,
    "error budget": _error_budget,
    "proven backup": _proven_backup,
    "capacity": _capacity,
}


def service_gate(environment: Environment, lowest_capacity: int) -> Callable[[], list[str]]:
    """What a watched change asks at every look; its answer is the reasons to stop, or none."""
    known = [one.id for one in incidents.find_open(environment.environment)]
    return ServiceGate(environment, lowest_capacity, known).reasons_to_stop


@dataclass
class ServiceGate:
    """`known` are the incidents that were open before: a change that began despite them is not stopped by them."""

    environment: Environment
    lowest_capacity: int
    known: Collection[str] = ()
    failures: int = 0
    short_looks: int = field(default=0)

    def reasons_to_stop(self) -> list[str]:
        return [*self._alarms(), *self._errors(), *self._capacity(), *self._incidents()]

    def _alarms(self) -> list[str]:
        return [f"alarm {name} fires" for name in cloudwatch.firing_alarms(self.environment.critical_alarm_names)]

    def _errors(self) -> list[str]:
        """Failures add up over looks and are forgiven by a clean one."""
        failed = sum(not one.answer.is_well for one in application.visit(self.environment, VISITS_PER_LOOK))
        self.failures = self.failures + failed if failed else 0
        if self.failures < FAILURES_TO_STOP:
            return []
        return [f"{self.failures} requests to {self.environment.alb_url}/ready failed in a row of looks, expected 0"]

    def _capacity(self) -> list[str]:
        healthy = elbv2.count_healthy(self.environment)
        self.short_looks = self.short_looks + 1 if healthy < self.lowest_capacity else 0
        if self.short_looks < FAILURES_TO_STOP:
            return []
        return [f"{healthy} targets are healthy, expected at least {self.lowest_capacity}"]

    def _incidents(self) -> list[str]:
        found = incidents.find_open(self.environment.environment)
        return [f"{one} was opened" for one in found if one.priority in URGENT and one.id not in self.known]
