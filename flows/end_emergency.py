"""End an emergency: the group goes back to its size before, or keeps the larger one because the code says so now.

When:     the load is gone; or the larger size was adopted into terraform.tfvars and deployed.
Impact:   instances beyond the size before are drained and terminated.
Rollback: scale_up again.

Carries out P48's end (and N10). sweep_residue does the same, once the hours that were given are over.
"""

from tasks import application, approval, emergency, gate
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.parameters import PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say

NAME = "end-emergency"


@procedure
def end_emergency(
    environment: EnvironmentName, adopted: bool = False, approved_plan: PlanHash = None, dry_run: bool = False
) -> str:
    """Take an emergency change of the group's size back, or say that it stays.

    Args:
        environment: Which environment's group.
        adopted: The code says the same now: nothing is changed, and nobody asks about it any more.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where, one = describe_environment(environment), emergency.find_emergency(environment)
        if one is None:
            say("there is no emergency change")
            return "nothing to do"
        lock.require_free(environment)
    with phase("plan"):
        say(f"plan {one.hash}: end {one}{'; it stays, adopted' if adopted else ''}")
    if dry_run:
        return one.hash
    with phase("approve"):
        approval.require_approval(environment, one.hash, f"end {one}", approved_plan)
    with lock.change_lock(environment, NAME), phase("apply"):
        gate.enter(environment, purpose="cure")
        say(emergency.end(one, adopted=adopted))
    with phase("verify"):
        say(f"{where.alb_url}/health: {application.wait_until_healthy(where)}")
    return one.hash


if __name__ == "__main__":
    run(end_emergency)
