"""Sweep residue: remove what runs made for a while and did not live to remove.

When:     every hour by itself; after a run was killed and will not be started again: with `--include-unexpired`.
Impact:   none on the service. Only things that carry a run's three tags go, and none whose run still lives before it
          expires; nothing that is protected, or an environment's own, is ever touched. What a killed drill broke is
          taken back.
Rollback: none: what is removed was a copy, or had an expiry that has passed.

Carries out P24's clean-up (and N05). A red run names what stays, and what to do; a recovery that nobody goes on with is
named too.
"""

from datetime import UTC, datetime

from tasks import change_lock as lock
from tasks import database_recovery as recovery
from tasks import drill_undo, emergency, flow_runs, residue
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.sweep_plan import plan_sweep

NAME = "sweep-residue"


@procedure
def sweep_residue(environment: EnvironmentName, include_unexpired: bool = False, dry_run: bool = False) -> str:
    """Find every temporary thing of every run, remove those that are left over, and look again.

    Args:
        environment: Whose things; one that does not say whose it is counts for each environment.
        include_unexpired: Also remove what a run left that this Prefect server does not know, before it expires.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        found = residue.find_residue(environment)
        drills = drill_undo.find_left_over(environment)
        overdue = emergency.find_emergency(environment)
        runs = flow_runs.find_run_states(tuple(one.run_id for one in found))
    with phase("plan"):
        plan = plan_sweep(found, runs, datetime.now(UTC), include_unexpired=include_unexpired)
        say(str(plan))
        for line in plan.table():
            say(line)
        for drill in drills:
            say(f"{drill} was left over; it is to be taken back")
        if overdue:
            say(f"{overdue}: {'over, to be taken back' if overdue.is_over else 'not over yet'}")
    if dry_run:
        return str(plan)
    with phase("apply"):
        begun = [one for one in plan.removable if residue.begin_removal(one)]
        residue.wait_until_gone(begun)
        drill_undo.end_left_over(drills, NAME)
        if overdue and overdue.is_over:
            with lock.change_lock(environment, NAME):
                say(emergency.end(overdue, adopted=False))
    with phase("verify"):
        plan.require_gone(residue.find_residue(environment))
        outcome = f"residue: 0, removed: {len(begun)}, left alone: {plan.left_alone}"
        say(outcome)
        recovery.require_none_abandoned(environment)
    return outcome


if __name__ == "__main__":
    run(sweep_residue)
