"""Roll the application back: to the release that served before, on every instance, and for good.

When:     a release does harm: while it is still rolling out, or after it went live.
Impact:   none on capacity. A release that can't start on today's schema is refused, and the nearest that can is named.
Rollback: deploy the newer release again with deploy_application.

Carries out P17, P18, P80, P82 (and D03, D13, N07, N08).
"""

from typing import Annotated

from pydantic import Field

from tasks import application, autoscaling, instance_refresh, launch_template, releases
from tasks.agreement import require_agreement
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.launch_template import Configuration
from tasks.make_it_last import make_it_last
from tasks.parameters import ImageReference, PlanHash
from tasks.procedure import procedure
from tasks.replace_instances import Demands, replace_instances, take_back_unfinished
from tasks.replacement import find_replacement
from tasks.report import phase, say
from tasks.rollout import as_way_back, plan_rollout

NAME = "rollback-application"


@procedure
def rollback_application(
    environment: EnvironmentName,
    to: ImageReference | None = None,
    batch_percentage: Annotated[int, Field(ge=1, le=100)] = 50,
    bake_minutes: Annotated[int, Field(ge=0, le=120)] = 0,
    compare_with_terraform: bool = True,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Take back an unfinished rollout, else replace every instance by one of the last good release; then make it last.

    Args:
        environment: Which environment to roll back.
        to: Digest of the release to go back to; empty is the last one that was proven before the newest.
        batch_percentage: How much of the group is replaced at a time; never less than one instance.
        bake_minutes: How long AWS goes on watching the critical alarms after the last instance.
        compare_with_terraform: Prove at the end by an empty plan that state and cloud agree; takes half a minute.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        group = autoscaling.describe_group(where.asg_name)
        running = launch_template.describe_version(group.template_id, group.template_version)
        known = releases.find_releases(where)
        digest = running.configuration.digest
        schema = application.find_schema_version(where) or releases.highest_schema(known, digest)
        releases.say_releases(known, digest, schema)
        unfinished = to is None and instance_refresh.find_highest_version(where.asg_name) > running.number
        target = releases.named(known, digest) if unfinished else releases.plan_target(known, digest, schema, to)
        say(f"back to {target}{', from a rollout that is not finished or was taken back' if unfinished else ''}")
    rollout = as_way_back(
        plan_rollout(group.desired_capacity, batch_percentage, group.warmup_seconds, bake_minutes * 60)
    )
    if unfinished:
        plan = take_back_unfinished(where, running, rollout, target.image.tags, approved_plan, dry_run)
    else:
        change = find_replacement(where, Configuration(target.image.reference, running.configuration.ami_id))
        plan = replace_instances(NAME, where, change, rollout, Demands(target.image.tags), approved_plan, dry_run)
    if dry_run:
        return plan
    with phase("make it last"):
        make_it_last(known, target)
        if compare_with_terraform:
            require_agreement(environment)
    return plan


if __name__ == "__main__":
    run(rollback_application)
