"""Refresh instances: replace every instance by one made of the same, to reset what it holds in memory.

When:     after a secret was rotated, connection pools went bad, or instances do not follow their launch template.
Impact:   none on capacity: new instances serve before old ones are drained.
Rollback: by itself while it runs; the instances are made of the same before and after.

Carries out P86 (and P45's second half, D19).
"""

from typing import Annotated

from pydantic import Field

from tasks import autoscaling, ecr, gate, launch_template
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.launch_template import Configuration
from tasks.parameters import PlanHash, Reason
from tasks.procedure import procedure
from tasks.replace_instances import Demands, replace_instances
from tasks.replacement import find_replacement
from tasks.report import phase, say
from tasks.rollout import plan_rollout

NAME = "refresh-instances"


@procedure
def refresh_instances(
    environment: EnvironmentName,
    request: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")],
    batch_percentage: Annotated[int, Field(ge=1, le=100)] = 20,
    bake_minutes: Annotated[int, Field(ge=0, le=120)] = 0,
    despite: Reason | None = None,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Replace every instance by a fresh one of the same release on the same machine image.

    Args:
        environment: Which environment to refresh.
        request: Names this request, such as an incident's number. The same name is carried out once.
        batch_percentage: How much of the group is replaced at a time; never less than one instance.
        bake_minutes: How long AWS goes on watching the critical alarms after the last instance.
        despite: Why this goes on although the gate refuses, such as the incident's number; empty obeys it.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        lock.require_free(environment)
        group = autoscaling.settle(where.asg_name)
        running = launch_template.describe_version(group.template_id, group.template_version)
        release = ecr.describe_image(running.image)
        change = find_replacement(where, Configuration(running.image, running.configuration.ami_id, request))
        if change.stage == "live":
            say(f"{request} was carried out already; proving it again")
        if change.stage == "new":
            autoscaling.require_replaceable(group)
            gate.require_allowed(environment, despite=despite)
    rollout = plan_rollout(group.desired_capacity, batch_percentage, group.warmup_seconds, bake_minutes * 60)
    return replace_instances(
        NAME, where, change, rollout, Demands(release.tags, despite=despite), approved_plan, dry_run
    )


if __name__ == "__main__":
    run(refresh_instances)
