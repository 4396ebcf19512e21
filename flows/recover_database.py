"""Recover the database: restore it to just before the damage, verify it, let it serve, and keep the damaged one.

When:     rows were deleted or changed that should not have been, or the instance itself is gone. Note the time first.
Impact:   production serves as before, damage included, while the copy is restored and verified. Then nobody can write,
          and for the minutes of two renames (or of one look at the secret) nobody can read, until the copy serves.
          What was written after the point is not in the recovered database: it is counted and named.
Rollback: undo_recovery, free of loss until writers are let in again; the report says when that was. The damaged
          instance is never deleted here: it is kept, dated and protected, until retire_database. A verification that
          is not good leaves production untouched and removes the copy.

Carries out P60 and P61 (and D04, D10): the runbook's point-in-time restore and its two ways of promotion.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from tasks import (
    adoption,
    approval,
    autoscaling,
    evidence,
    gate,
    infrastructure,
    production_database,
    recovered_copy,
    recovery_plan,
    residue,
    restored_copy,
    swap,
    terraform,
    verification,
    verifier_role,
    writers,
)
from tasks import change_lock as lock
from tasks import database_recovery as recovery
from tasks.change_lock import Lease
from tasks.command_line import run
from tasks.database_recovery import CutOver, Damage, Recovery, Request
from tasks.environment import Environment, EnvironmentName, describe_environment
from tasks.evidence import Evidence
from tasks.parameters import Identifier, PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.restored_copy import Restore, Restored
from tasks.verdict import Verdict, require_good

NAME = "recover-database"


@procedure
def recover_database(
    environment: EnvironmentName,
    damaged_at: AwareDatetime,
    cut_over: CutOver = "rename",
    damage: Damage = "deleted",
    point: Identifier | None = None,
    keep_days: Annotated[int, Field(ge=1, le=365)] = 14,
    window_minutes: Annotated[float, Field(gt=0, le=1440)] = 240,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Recover the database to just before the damage; Completed means that it serves and Terraform owns it.

    Args:
        environment: Whose database.
        damaged_at: When the damage was done, with its time zone, such as 2026-11-24T14:30:00Z.
        cut_over: rename gives the recovered instance production's name; endpoint leaves both names and moves the
            application's secret.
        damage: deleted says that only rows are missing, and all else in the damaged database is compared with the
            copy; any believes nothing in it, and judges the copy by records or by itself.
        point: Restore this instead of the second before the damage; a snapshot's identifier, or a point in time.
        keep_days: How long the damaged instance is kept at least.
        window_minutes: How long restore and verification may take.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        say(f"terraform {terraform.require_terraform()}")
        lock.require_free(environment)
        last = recovery.find_recovery(environment)
    with phase("plan"):
        asked = Request(environment, damaged_at.astimezone(UTC), cut_over, damage, point, keep_days)
        plan = recovery.find_begun(last, asked) or recovery_plan.plan_recovery(where, asked)
        say(f"plan {plan.hash}: {plan}")
        if not plan.closed_at:
            recovery_plan.show_losses(plan)
    if plan.ended_at:
        say(f"this very recovery {plan.state}: to do it again, undo it first")
        infrastructure.require_serving(environment)
    if dry_run or plan.ended_at:
        return plan.hash
    if not plan.begun_at:
        with phase("approve"):
            approval.require_approval(environment, plan.hash, str(plan), approved_plan, people=2)
    with lock.change_lock(environment, NAME) as lease:
        if not plan.begun_at:
            with phase("gate"):
                gate.enter(environment, purpose="cure")
        plan = recovery.begin(plan)
        if not plan.verified_at:
            with _withdrawn_on_failure(plan, lease):
                plan = _verify(where, *_restore(where, plan, timedelta(minutes=window_minutes)))
        plan = _cut_over(where, plan, lease)
        plan = _let_writers_in(where, plan, lease)
        with phase("adopt"):
            lease.require_held()
            adoption.adopt(plan, swap.settle(plan.copy))
            plan = recovery.record(plan, ended_at=recovery.now())
    return plan.hash


def _restore(where: Environment, plan: Recovery, window: timedelta) -> tuple[Recovery, Restore, Restored]:
    with phase("restore"):
        source = recovery_plan.describe_source(where, plan)
        restore = recovered_copy.plan_restore(plan, source, window)
        say(str(restore))
        usual = evidence.usual_restore_seconds(evidence.list_recent(where))
        restored_copy.wait_until_restorable(restore)
        restored_copy.begin_restore(restore)
        recovered_copy.take_over(plan, restore)
        restored = restored_copy.wait_until_restored(restore, usual)
        say(f"{restore.copy_id} was restored in {restored.seconds:.0f} s")
        return recovery.record(plan, copy=restored.instance.resource_id), restore, restored


def _verify(where: Environment, plan: Recovery, restore: Restore, restored: Restored) -> Recovery:
    with phase("verify"):
        began, believed = datetime.now(UTC), plan.damage == "deleted"
        password = production_database.read_address(plan.environment, restored.instance).password
        copy = restored_copy.open_copy(restored.instance, password)
        one = verification.begin_examination(
            where, restore, copy, allow_deleted=believed, ask_source=believed and not plan.is_lost
        )

        def record(verdicts: Sequence[Verdict], of: str | None = None) -> Evidence:
            seconds = (datetime.now(UTC) - began).total_seconds()
            return evidence.record(where, str(restore.point), restored.seconds, seconds, verdicts, of, plan.run_id)

        found = evidence.find(where, plan.run_id)
        if found is None or found.copy != restore.copy:
            verdicts = [restored_copy.judge_instance(where.environment, restore)]
            found = record([*verdicts, *verification.judge(where, one, "full", with_mutants=False)], restore.copy)
        if not verification.is_judged_by_use(found.verdicts):
            found = record([*found.verdicts, *verification.judge_by_use(where, one, "full")], restore.copy)
        for line in evidence.page(found, ()):
            say(line)
        require_good(found.verdicts)
        verified = recovery.record(plan, verified_at=recovery.now())
        record(found.verdicts)
    return verified


def _cut_over(where: Environment, plan: Recovery, lease: Lease) -> Recovery:
    """Production is closed to writers first, and the recovered database is before anybody can reach it."""
    with phase("close to writers"):
        lease.require_held()
        if not plan.closed_at:
            recovered_copy.keep(plan)
            writers.keep_out(production_database.enter(plan.environment, plan.copy))
            closed_at = (
                recovery.now()
                if plan.is_lost
                else writers.keep_out(production_database.enter(plan.environment, plan.source))
            )
            plan = recovery.record(plan, closed_at=closed_at)
        if not plan.is_lost:
            say(f"nobody writes since {plan.closed_at}")
            say(recovery_plan.describe_losses(plan, production_database.enter(plan.environment, plan.source)))
    with phase("cut over"):
        lease.require_held()
        if not plan.is_lost:
            swap.rename(plan.source, plan.damaged_id)
            swap.keep_aside(plan.source, plan)
        db = swap.rename(plan.copy, plan.recovered_id)
        swap.point_secret(where.environment, db)
        if plan.cut_over == "endpoint":
            writers.send_away(production_database.enter(plan.environment, plan.source))
        say(f"{db}, {db.resource_id}, serves at {db.address}; the damaged one is {plan.damaged_id}")
    return plan


def _let_writers_in(where: Environment, plan: Recovery, lease: Lease) -> Recovery:
    with phase("let writers in"):
        address = production_database.enter(plan.environment, plan.copy)
        serving = [one.id for one in autoscaling.describe_group(where.asg_name).in_service]
        if not plan.let_in_at:
            writers.wait_until_connected(address, serving)
            infrastructure.require_serving(plan.environment)
        lease.require_held()
        plan = recovery.record(plan, let_in_at=recovery.now())
        if not plan.serving_at:
            writers.let_in(address)
        writers.wait_until_connected(address, serving)
        infrastructure.require_serving(plan.environment)
        verifier_role.ensure_secret(plan.environment)
        plan = recovery.record(plan, serving_at=recovery.now())
        for line in recovery_plan.describe_times(plan):
            say(line)
    return plan


@contextmanager
def _withdrawn_on_failure(plan: Recovery, lease: Lease) -> Iterator[None]:
    """What does not become production is removed, and nobody waits for it any more; unless another run took over."""
    verified = False
    try:
        yield
        verified = True
    finally:
        if not verified and not lease.lost:
            with phase("clean up"):
                recovered_copy.remove(plan)
                mine = residue.find_own(plan.environment)
                residue.wait_until_gone([one for one in mine if residue.begin_removal(one)])
                recovery.forget(plan)
                say(f"production was not touched; {plan.copy_id} is removed")


if __name__ == "__main__":
    run(recover_database)
