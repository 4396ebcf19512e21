"""How instances are replaced, whichever procedure asks: plan, approve, apply, watch, verify, and undo on failure."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks import application, approval, autoscaling, ec2, elbv2, gate, instance_refresh, launch_template
from tasks.change_lock import Lease, change_lock
from tasks.environment import Environment
from tasks.errors import VerificationFailed, WaitTimedOut
from tasks.launch_template import TemplateVersion
from tasks.replacement import Replacement, find_again, find_replacement, record_verified, require_not_failed
from tasks.report import phase, say
from tasks.rollout import ReplacementPlan, RolloutPlan, gently
from tasks.way_back import WayBack


@dataclass(frozen=True)
class Demands:
    """What a procedure asks of its replacement.

    `versions` are the names that /health may give; `prepare` is called once the environment is held and before
    anything changes; `reasons_to_stop` is asked at every look, besides the gate that every replacement has; `proof`
    at the end, and raises VerificationFailed. The last two get the new template version. `despite` is why it goes on
    when the gate refuses.
    """

    versions: tuple[str, ...]
    prepare: Callable[[], None] = lambda: None
    reasons_to_stop: Callable[[int], list[str]] = lambda _version: []
    proof: Callable[[int], None] = lambda _version: None
    despite: str | None = None


def replace_instances(
    procedure: str,
    where: Environment,
    change: Replacement,
    rollout: RolloutPlan,
    demands: Demands,
    approved_plan: str | None,
    dry_run: bool,
) -> str:
    """Show it, have it approved, and carry it out from wherever a killed run left it.

    Returns:
        the hash of the plan.

    Raises:
        NotApproved, PreconditionFailed: nothing was changed.
        VerificationFailed: it did not work out; unless the message says otherwise, it was undone.
    """
    with phase("plan"):
        plan = ReplacementPlan(where.environment, str(change.wanted), change.replaced, rollout)
        say(f"plan {plan.hash}, {change.stage}: {plan}")
    if dry_run:
        return plan.hash
    if change.stage in ("new", "begun"):
        with phase("approve"):
            approval.require_approval(where.environment, plan.hash, str(plan), approved_plan)
    with change_lock(where.environment, procedure) as lease:
        demands.prepare()
        _carry_out(where, find_again(where, change), rollout, lease, demands)
    return plan.hash


def _carry_out(where: Environment, change: Replacement, rollout: RolloutPlan, lease: Lease, demands: Demands) -> None:
    try:
        require_not_failed(change)
        if change.stage != "live":
            _replace(where, change, rollout, lease, demands)
        _verify(where, change, demands)
        record_verified(where, change.wanted)
    except (VerificationFailed, WaitTimedOut) as failure:
        _undo(where, change, rollout, lease, failure)


def take_back_unfinished(
    where: Environment,
    running: TemplateVersion,
    rollout: RolloutPlan,
    versions: tuple[str, ...],
    approved_plan: str | None,
    dry_run: bool,
) -> str:
    """End what is on its way to the group, by RollbackInstanceRefresh, and prove that all serve what ran before.

    No lease is taken: the run that started it, if it lives, sees the rollback and ends red, which is what is wanted.
    """
    with phase("plan"):
        plan = ReplacementPlan(where.environment, str(running.configuration), "an unfinished rollout", rollout)
        say(f"plan {plan.hash}: {plan}")
    if dry_run:
        return plan.hash
    with phase("approve"):
        approval.require_approval(where.environment, plan.hash, str(plan), approved_plan)
    with phase("apply"):
        gate.enter(where.environment, purpose="cure")
        attempts = launch_template.find_versions_above(running)
        way_back = WayBack(where, max((one.number for one in attempts), default=0))
        instance_refresh.roll_back(where, running.number, rollout, way_back.look)
    with phase("verify"):
        group = autoscaling.require_all_on(where.asg_name, running.number)
        ids = tuple(instance.id for instance in group.in_service)
        application.require_every_instance_serves(where, ids, versions)
        way_back.look()
        for attempt in attempts:
            launch_template.delete_version(attempt)
        say(str(way_back))
    return plan.hash


def _replace(where: Environment, change: Replacement, rollout: RolloutPlan, lease: Lease, demands: Demands) -> None:
    with phase("apply"):
        if change.stage == "new":
            rollout = _at_its_pace(where, rollout, demands)
        lease.require_held()
        version = launch_template.create_version(change.current, change.wanted)
        lease.require_held()
        refresh = instance_refresh.start_instance_refresh(where, version.number, rollout)
        say(f"instance refresh {refresh.id} to {version}")
    with phase("watch"):
        service = gate.service_gate(where, rollout.lowest_capacity) if rollout.watched else list

        def reasons_to_stop() -> list[str]:
            lease.require_held()
            return [*service(), *demands.reasons_to_stop(version.number)]

        instance_refresh.wait_until_refreshed(refresh, rollout, reasons_to_stop)


def _at_its_pace(where: Environment, rollout: RolloutPlan, demands: Demands) -> RolloutPlan:
    """The gate may want it gentler than planned."""
    purpose: gate.Purpose = "change" if rollout.watched else "cure"
    decision = gate.enter(where.environment, purpose=purpose, despite=demands.despite)
    if not decision.is_slow:
        return rollout
    slower = gently(rollout)
    say(f"slower than planned: {slower}")
    return slower


def _verify(where: Environment, change: Replacement, demands: Demands) -> None:
    with phase("verify"):
        group = autoscaling.require_all_on_current(where.asg_name)
        elbv2.wait_until_targets_healthy(where, group.desired_capacity)
        ids = tuple(instance.id for instance in group.in_service)
        ec2.require_launched_from(ids, change.wanted.ami_id)
        answers = application.require_every_instance_serves(where, ids, demands.versions)
        say(f"served by {', '.join(f'{instance} ({n} answers)' for instance, n in answers.items())}")
        demands.proof(group.template_version)


def _undo(where: Environment, change: Replacement, rollout: RolloutPlan, lease: Lease, failure: Exception) -> None:
    """Back to the version before, proven the same way; nothing of the failed change stays but the report."""
    with phase("undo"):
        say(f"because {failure}")
        lease.require_held()
        made = find_replacement(where, change.wanted)
        if made.attempt is None or made.attempt.previous is None or not made.can_be_undone:
            raise VerificationFailed(
                f"{failure}. It was not undone: there is no version known to go back to"
            ) from failure
        way_back = WayBack(where, made.attempt.number)
        instance_refresh.roll_back(where, made.attempt.previous, rollout, way_back.look)
        autoscaling.require_all_on(where.asg_name, made.attempt.previous)
        application.wait_until_healthy(where)
        way_back.look()
        launch_template.delete_version(made.attempt)
        say(str(way_back))
    raise VerificationFailed(f"{failure}. {where} serves the version before again.") from failure
