"""Retire a database: delete an instance that a recovery put aside, behind a final snapshot.

When:     after the day that its tag runbook:retire-after names, and when nobody will want to compare with it any more.
Impact:   none on the service: the instance that serves, or that Terraform owns, is refused.
Rollback: restore the final snapshot, or the automated backups that stay for their retention period.

Carries out P62 (and D10).
"""

from typing import Annotated

from pydantic import Field

from tasks import approval, db_snapshots, gate, retirement
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.parameters import PlanHash, Reason
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def retire_database(
    environment: EnvironmentName,
    instance: Annotated[str, Field(min_length=3, max_length=63, pattern=r"^[a-z][a-z0-9-]+$")],
    despite: Reason | None = None,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Delete an instance that no longer serves; Completed means that it is gone and its final snapshot is there.

    Args:
        environment: Whose database it was.
        instance: Its identifier, such as demo-flask-app-dev-db-damaged-20261124-1a2b3c4d.
        despite: Why this goes on although the gate refuses, such as the incident's number; empty obeys it.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        lock.require_free(environment)
        plan = retirement.plan_retirement(where, instance)
    with phase("plan"):
        say(f"plan {plan.hash}: {plan}")
    if dry_run:
        return plan.hash
    if plan.resource_id:
        with phase("approve"):
            gate.require_allowed(environment, risk="high", despite=despite)
            approval.require_approval(environment, plan.hash, str(plan), approved_plan, people=2)
        with lock.change_lock(environment, "retire-database") as lease, phase("apply"):
            gate.enter(environment, risk="high", despite=despite)
            retirement.take_final_snapshot(plan, environment)
            db_snapshots.wait_until_snapshot_available(plan.snapshot_id)
            lease.require_held()
            retirement.delete(plan)
            retirement.wait_until_gone(plan)
    with phase("verify"):
        say(retirement.require_kept(plan))
    return plan.snapshot_id


if __name__ == "__main__":
    run(retire_database)
