"""Undo a recovery: the instance that served before serves again, and nothing of the recovery is left in the way.

When:     the recovered database is not what it should be, or a recovery stopped half-way and will not be gone on with.
Impact:   nobody can write, and for the minutes of two renames nobody can read. Free of loss until the recovery let
          writers in again; what was written since is lost to users and named, and refused unless it is accepted.
Rollback: start recover_database again. An instance that users have written into is kept, dated, until
          retire_database; one that they have not is removed.

Carries out P61's way back (and D10, N05).
"""

from tasks import (
    adoption,
    approval,
    autoscaling,
    gate,
    infrastructure,
    production_database,
    recovered_copy,
    recovery_undo,
    swap,
    verifier_role,
    writers,
)
from tasks import change_lock as lock
from tasks import database_recovery as recovery
from tasks.change_lock import Lease
from tasks.command_line import run
from tasks.database_recovery import Recovery
from tasks.environment import Environment, EnvironmentName, describe_environment
from tasks.parameters import PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say

NAME = "undo-recovery"


@procedure
def undo_recovery(
    environment: EnvironmentName, accept_loss: bool = False, approved_plan: PlanHash = None, dry_run: bool = False
) -> str:
    """Take the last recovery back from wherever it stopped; Completed means that all is as before it.

    Args:
        environment: Whose database.
        accept_loss: Also when users have written into the recovered database since; the plan names what.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        lock.require_free(environment)
        if undone := recovery.find_undone_by_this_run(environment):
            say(f"this very run has undone it: {undone}")
            infrastructure.require_serving(environment)
            return recovery_undo.hash_of(undone)
        plan = recovery_undo.require_undoable(recovery.find_recovery(environment), environment)
    with phase("plan"):
        undoing = recovery_undo.hash_of(plan)
        say(f"plan {undoing}: undo: {plan}; {plan.state}")
        recovery_undo.require_no_loss(plan, accept_loss=accept_loss)
    if dry_run:
        return undoing
    if not plan.undoing_at:
        with phase("approve"):
            approval.require_approval(environment, undoing, f"undo: {plan}; {plan.state}", approved_plan)
    with lock.change_lock(environment, NAME) as lease:
        with phase("gate"):
            gate.enter(environment, purpose="cure")
        plan = recovery.record(plan, undoing_at=recovery.now())
        if plan.verified_at:
            _swap_back(where, plan, lease)
            _reopen(where, plan, lease)
        with phase("adopt"):
            if plan.adopting_at:
                adoption.adopt(plan, swap.settle(plan.source))
            else:
                say("Terraform's state never had another instance")
        with phase("clean up"):
            recovery_undo.put_away(plan)
            recovery.record_undone(plan)
    return undoing


def _swap_back(where: Environment, plan: Recovery, lease: Lease) -> None:
    with phase("close to writers"):
        lease.require_held()
        if not plan.reopened_at and recovered_copy.find_copy(plan):
            writers.keep_out(production_database.enter(plan.environment, plan.copy))
        if plan.let_in_at:
            say(f"lost is what was {recovery_undo.describe_losses(plan)}")
    with phase("cut back"):
        lease.require_held()
        if recovery_undo.took_its_place(plan):
            swap.rename(plan.copy, plan.undone_id)
        swap.rename(plan.source, plan.serving)
        db = swap.serve_again(plan.source, plan)
        swap.point_secret(where.environment, db)
        if plan.cut_over == "endpoint" and recovered_copy.find_copy(plan):
            writers.send_away(production_database.enter(plan.environment, plan.copy))
        say(f"{db}, {db.resource_id}, serves again at {db.address}")


def _reopen(where: Environment, plan: Recovery, lease: Lease) -> None:
    with phase("let writers in"):
        lease.require_held()
        address = production_database.enter(plan.environment, plan.source)
        writers.let_in(address)
        serving = [one.id for one in autoscaling.describe_group(where.asg_name).in_service]
        writers.wait_until_connected(address, serving)
        infrastructure.require_serving(plan.environment)
        verifier_role.ensure_secret(plan.environment)
        recovery.record(plan, reopened_at=recovery.now())
        closed_at = plan.undoing_at if plan.let_in_at else plan.closed_at or plan.verified_at
        say(f"writers are in again; they were kept out since {closed_at}")


if __name__ == "__main__":
    run(undo_recovery)
