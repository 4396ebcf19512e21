"""Deploy a release: replace every instance by one that runs another image, without losing a request.

When:     after an image was pushed and scanned; CI runs this very procedure.
Impact:   none on capacity: new instances serve before old ones are drained. A release that does not become healthy,
          or makes the service suffer, is undone by itself and the run ends red.
Rollback: by itself while it runs; afterwards deploy the previous digest.

Carries out P12, P13, P14 (and D02, D03, D13, D18, D19, N18).
"""

from typing import Annotated

from pydantic import Field

from tasks import autoscaling, ecr, gate, launch_template
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.launch_template import Configuration
from tasks.parameters import ImageReference, PlanHash, Reason
from tasks.procedure import procedure
from tasks.replace_instances import Demands, replace_instances
from tasks.replacement import find_replacement
from tasks.report import phase
from tasks.rollout import plan_rollout

NAME = "deploy-application"


@procedure
def deploy_application(
    environment: EnvironmentName,
    image: ImageReference,
    batch_percentage: Annotated[int, Field(ge=1, le=100)] = 20,
    bake_minutes: Annotated[int, Field(ge=0, le=120)] = 5,
    despite: Reason | None = None,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Roll a release out, watch it from inside and outside, prove that every instance serves it, or undo it.

    Args:
        environment: Which environment to change.
        image: Digest of the image, `sha256:...`. A tag is refused, because it can move.
        batch_percentage: How much of the group is replaced at a time; never less than one instance.
        bake_minutes: How long AWS goes on watching the critical alarms after the last instance.
        despite: Why this goes on although the gate refuses, such as the incident's number; empty obeys it.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        wanted = ecr.describe_image(image)
        ecr.require_scanned(wanted)
        lock.require_free(environment)
        group = autoscaling.settle(where.asg_name)
        running = launch_template.describe_version(group.template_id, group.template_version)
        change = find_replacement(where, Configuration(wanted.reference, running.configuration.ami_id))
        if change.stage == "new":
            autoscaling.require_replaceable(group)
            gate.require_allowed(environment, despite=despite)
    rollout = plan_rollout(group.desired_capacity, batch_percentage, group.warmup_seconds, bake_minutes * 60)
    return replace_instances(
        NAME, where, change, rollout, Demands(wanted.tags, despite=despite), approved_plan, dry_run
    )


if __name__ == "__main__":
    run(deploy_application)
