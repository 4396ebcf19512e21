"""Run a drill: break one thing on purpose, see that it is noticed and mended in time, and take everything back.

When:     each quarter, the scenario that the last scorecard names; before a change that a recovery must survive.
Impact:   what the plan says under "users". In dev by default; in prod only when a person has approved that very plan.
Rollback: by itself, always, in reverse: at the end, after a failure, an abort, a cancellation. After a kill by the same
          run, by the next drill, or by sweep_residue within the hour. A lost database or environment only a procedure
          brings back: that the sweep ends red with what to run. To stop a drill, and keep any from beginning:
          aws ssm put-parameter --name /demo-flask-app/dev/drill-stop --type String --value "why"

Carries out P63's and P76's rehearsal, P94 (and N15, N17, N24).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from prefect import Flow
from prefect.client.schemas.objects import State

from flows.deploy_application import deploy_application
from flows.end_idle_sessions import end_idle_sessions
from flows.fail_over_database import fail_over_database
from flows.recover_database import recover_database
from flows.recover_infrastructure import recover_infrastructure
from flows.refresh_instances import refresh_instances
from flows.rollback_infrastructure import rollback_infrastructure
from flows.set_up_certificate import set_up_certificate
from tasks import application, approval, cloudwatch, drill_journal, drill_undo, drill_watch, gate, scorecard, traffic
from tasks import change_lock as lock
from tasks.change_lock import Lease, change_lock
from tasks.command_line import run
from tasks.drill import BlastRadius, Recovery, Scenario, Situation, plan_drill
from tasks.drill_journal import Journal
from tasks.environment import Environment, EnvironmentName, describe_environment
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.parameters import PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say, show
from tasks.scenarios import SCENARIOS, ScenarioName

NAME = "run-drill"
# Those that ask two people in production; a drill that starts one does too.
TWO_PEOPLE = (fail_over_database.name, recover_database.name, recover_infrastructure.name)
Choice = Literal["suggested", ScenarioName]
RECOVERIES: dict[str, Flow[..., Any]] = {
    one.name: one
    for one in (
        deploy_application,
        end_idle_sessions,
        fail_over_database,
        recover_database,
        recover_infrastructure,
        refresh_instances,
        rollback_infrastructure,
        set_up_certificate,
    )
}


@procedure
def run_drill(
    scenario: Choice = "suggested",
    environment: EnvironmentName = "dev",
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Break one thing, watch how it recovers, verify it, take everything back, and write the scorecard.

    Args:
        scenario: What is broken; suggested takes the one that was never proven, else the one with the oldest proof.
        environment: Where.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan, which names the real targets, what users may notice and the cost; change nothing.
    """
    with phase("check"):
        journal = drill_journal.find_journal(environment, lock.run_id())
        one = SCENARIOS[journal.scenario if journal else _choose(scenario, environment)]
        lock.require_free(environment)
        if journal is None:
            _end_left_over(environment, dry_run)
            where = describe_environment(environment)
            radius = _require_drillable(one, where)
    if journal is None:
        with phase("plan"):
            plan = plan_drill(one, environment, radius)
            say(f"plan {plan.hash}: {one.question}")
            for line in plan.lines():
                say(line)
        if dry_run:
            return plan.hash
        with phase("approve"):
            people = 2 if one.recovery and one.recovery.procedure in TWO_PEOPLE else 1
            approval.require_approval(environment, plan.hash, str(plan), approved_plan, people)
    with change_lock(environment, NAME) as lease, lease.lent():
        if journal is None:
            _require_unchanged(one, where, radius)
            journal = drill_journal.begin_journal(one.name, plan.hash, where, radius)
        try:
            if journal.outcome == "unfinished":
                _carry_out(one, journal, lease)
        finally:
            _tell(one, journal)
    if journal.failures:
        raise VerificationFailed("; ".join(journal.failures))
    return f"{one.name}: proven"


def _choose(scenario: Choice, environment: EnvironmentName) -> str:
    if scenario != "suggested":
        return scenario
    chosen = scorecard.oldest_proof(SCENARIOS, drill_journal.list_journals(environment))
    say(f"suggested: {chosen}")
    return chosen


def _end_left_over(environment: str, dry_run: bool) -> None:
    left = drill_undo.find_left_over(environment)
    if left and dry_run:
        say(f"not taken back yet: {', '.join(map(str, left))}; a drill, or sweep_residue, begins with that")
    elif left:
        drill_undo.end_left_over(left, NAME, _start)


def _require_drillable(one: Scenario, where: Environment) -> BlastRadius:
    drill_watch.require_not_stopped(where.environment)
    gate.require_allowed(where.environment)
    radius = one.resolve(where)
    before = Situation(where, radius.targets, "drill-to-be", {}, lambda *_: None)
    drill_watch.require_steady(before, one.steady)
    return radius


def _require_unchanged(one: Scenario, where: Environment, radius: BlastRadius) -> None:
    if (now := _require_drillable(one, where)) != radius:
        raise PreconditionFailed(
            f"the drill would break {', '.join(map(str, now.targets))} now, but planned was"
            f" {', '.join(map(str, radius.targets))}. Nothing was changed. Start again: the plan will be another one."
        )


def _carry_out(one: Scenario, journal: Journal, lease: Lease) -> None:
    with _taken_back(one, journal, lease), traffic.watched(journal.environment) as seen:
        journal.watch(seen)
        if journal.failures:
            return  # it was killed while it took everything back: that goes on
        if not journal.has("detected"):
            _break(one, journal, lease)
        if not journal.has("restored"):
            _recover(one, journal, lease)
        if not journal.has("verified"):
            _verify(one, journal, lease)
        _measure(one, journal, lease)


@contextmanager
def _taken_back(one: Scenario, journal: Journal, lease: Lease) -> Iterator[None]:
    """Whatever happens in it, each step that was begun is undone, in reverse; proven is what is steady after that."""
    try:
        yield
    except BaseException as failure:
        journal.fail(str(failure) or type(failure).__name__)
        raise
    finally:
        with phase("undo"):
            drill_undo.take_back(journal, lease, _start)
            if not journal.failures:
                drill_watch.wait_until_so(journal.situation(lease), one.steady, one.abort, "the steady state again")
            journal.end()


def _break(one: Scenario, journal: Journal, lease: Lease) -> None:
    with phase("break"):
        journal.mark("broken")
        for step in one.method:
            drill_watch.require_going_on(journal.environment, one.abort)
            journal.begin(step.name)
            say(step.name)
            step.do(journal.situation(lease))
    with phase("detect"):
        drill_watch.wait_until_so(journal.situation(lease), one.is_broken, one.abort, "the fault to show")
        journal.mark("detected")


def _recover(one: Scenario, journal: Journal, lease: Lease) -> None:
    situation = journal.situation(lease)
    with phase("decide"):
        drill_watch.require_going_on(journal.environment, one.abort)
        asked = _decide(one.recovery, situation) if one.recovery else {}
        journal.mark("decided")
    with phase("recover"):
        if one.recovery is None:
            drill_watch.wait_until_so(situation, one.is_recovered, one.abort, "it to heal by itself")
        else:
            _start(one.recovery.procedure, asked, one.recovery)
        journal.mark("restored")


def _decide(recovery: Recovery, situation: Situation) -> dict[str, Any]:
    environment = situation.environment.environment
    return {"environment": environment, **recovery.parameters(situation)}


def _start(procedure: str, parameters: Mapping[str, Any], how: Recovery | None = None) -> None:
    """For a recovery, or an undo that takes a procedure: approved with the drill, so nobody is asked in the middle."""
    with approval.covered(NAME):
        ended: State[Any] = RECOVERIES[procedure](**parameters, return_state=True)  # type: ignore[assignment]
    _require_ended(how or Recovery(procedure), ended)


def _require_ended(recovery: Recovery, state: State[Any]) -> None:
    if state.type.value.lower() != recovery.must_end:
        raise VerificationFailed(
            f"{recovery.procedure} ended {state.name}, expected {recovery.must_end}: {state.message or 'no message'}."
            " Its own report says more."
        )


def _verify(one: Scenario, journal: Journal, lease: Lease) -> None:
    with phase("verify"):
        journal.environment = describe_environment(journal.environment.environment)  # it may have been built anew
        situation = journal.situation(lease)
        drill_watch.wait_until_so(situation, one.is_recovered, one.abort, "it to be recovered")
        application.wait_until_healthy(journal.environment)
        journal.mark("verified")


def _measure(one: Scenario, journal: Journal, lease: Lease) -> None:
    with phase("measure"):
        if one.lost_seconds:
            journal.lost_seconds = one.lost_seconds(journal.situation(lease))
        journal.gaps = scorecard.find_gaps(one, journal, _raised(one, journal))
        if misses := scorecard.find_misses(one, journal):
            raise VerificationFailed("; ".join(misses))


def _raised(one: Scenario, journal: Journal) -> list[str]:
    names = journal.environment.critical_alarm_names
    expected = [name for name in names if name.endswith(one.abort.expected_alarms)]
    return cloudwatch.raised_alarms(expected, scorecard.broken_at(journal))


def _tell(one: Scenario, journal: Journal) -> None:
    with phase("scorecard"):
        past = drill_journal.list_journals(journal.environment.environment)
        for line in scorecard.page(one, journal, SCENARIOS, past):
            say(line)
        show(scorecard.as_image(scorecard.trend(one, past), f"RTO of {one.name}"))


if __name__ == "__main__":
    run(run_drill)
