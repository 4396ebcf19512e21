"""Scale up in an emergency: more instances at once, beyond the group's maximum where it must be, and for some hours.

When:     instances can't carry the load and scaling policies are too slow or at the maximum.
Impact:   none on what serves; each instance costs money. Connections to the database grow with the instances.
Rollback: end_emergency; by itself, by sweep_residue, once its hours are over.

Carries out P48 and P79 (and D11, N10). For good: raise max_size in terraform.tfvars, deploy, and then run
end_emergency --adopted.
"""

from typing import Annotated

from pydantic import Field

from tasks import application, approval, autoscaling, elbv2, emergency, gate
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.parameters import PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say

NAME = "scale-up"


@procedure
def scale_up(
    environment: EnvironmentName,
    instances: Annotated[int, Field(ge=1, le=50)],
    by: Annotated[str, Field(min_length=2, max_length=80)],
    because: Annotated[str, Field(min_length=3, max_length=300)],
    hours: Annotated[float, Field(gt=0, le=72)] = 4,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Enlarge the group now, write down who did it and until when, and prove that all of it serves.

    Args:
        environment: Which environment's group.
        instances: How many are to serve.
        by: Who owns this change, until it is reverted or adopted.
        because: Why, such as the incident's number.
        hours: After how many hours it is taken back.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        lock.require_free(environment)
        known = emergency.find_emergency(environment)
    with phase("plan"):
        group = autoscaling.describe_group(where.asg_name)
        plan = emergency.plan_emergency(environment, group, known, instances, by, because, hours)
        say(f"plan {plan.hash}: {plan}")
    if dry_run:
        return plan.hash
    with phase("approve"):
        approval.require_approval(environment, plan.hash, str(plan), approved_plan)
    with lock.change_lock(environment, NAME) as lease, phase("apply"):
        gate.enter(environment, purpose="cure")
        lease.require_held()
        emergency.enlarge(plan)
    with phase("verify"):
        ids = tuple(one.id for one in emergency.wait_until_serving(plan).in_service)
        elbv2.wait_until_targets_healthy(where, plan.after.desired)
        application.require_every_instance_serves(where, ids, ())
        say(f"{len(ids)} instances serve; the size before comes back at {plan.expires_at}")
    return plan.hash


if __name__ == "__main__":
    run(scale_up)
