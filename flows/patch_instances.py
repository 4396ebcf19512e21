"""Patch instances: replace every instance by one of the newest Amazon Linux 2023, the same release on it.

When:     monthly, inside the maintenance window (Sunday 02:00-05:00 UTC), and for a critical CVE of the machine.
Impact:   none on capacity: new instances serve before old ones are drained. The first one is a canary with a pause
          behind it; one that fails its smoke test, an alarm or a failed request undoes the patch by itself.
Rollback: by itself while it runs, and at its end when the service is worse than before it.

Carries out P49 (as a check), P75, P88 (and D01, D02, D03, D13, D19, N12, N18, N19).
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from tasks import autoscaling, ec2, ecr, gate, launch_template, maintenance_window
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.launch_template import Configuration
from tasks.measurement import Comparison
from tasks.parameters import PlanHash, Reason
from tasks.patching import describe_needs, is_patched, say_closed, say_needs
from tasks.procedure import procedure
from tasks.replace_instances import Demands, replace_instances
from tasks.replacement import find_replacement
from tasks.report import phase, say
from tasks.rollout import plan_rollout, with_canary
from tasks.smoke_test import SmokeTest

NAME = "patch-instances"


@procedure
def patch_instances(
    environment: EnvironmentName,
    batch_percentage: Annotated[int, Field(ge=1, le=100)] = 20,
    canary_minutes: Annotated[int, Field(ge=1, le=120)] = 5,
    bake_minutes: Annotated[int, Field(ge=0, le=120)] = 5,
    outside_window_because: Reason | None = None,
    despite: Reason | None = None,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Replace instances by ones of the newest machine image, canary first, and prove that nothing got worse.

    Args:
        environment: Which environment to patch.
        batch_percentage: How much of the group is replaced at a time; never less than one instance.
        canary_minutes: How long AWS waits behind the first new instance, and again at half of the group.
        bake_minutes: How long AWS goes on watching the critical alarms after the last instance.
        outside_window_because: Why this can't wait for the maintenance window; empty keeps to the window.
        despite: Why this goes on although the gate refuses, such as the incident's number; empty obeys it.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        lock.require_free(environment)
        group = autoscaling.settle(where.asg_name)
        running = launch_template.describe_version(group.template_id, group.template_version)
        release, latest = ecr.describe_image(running.image), ec2.find_latest_ami()
        needs = describe_needs(group, latest)
        say_needs(needs, latest)
        change = find_replacement(where, Configuration(running.image, latest.id))
        if is_patched(change, needs):
            say(f"nothing to do: every instance of {group.name} runs {latest}")
            return "nothing to do"
        if change.stage == "new":
            autoscaling.require_replaceable(group)
            gate.require_allowed(environment, despite=despite)
        smooth = plan_rollout(group.desired_capacity, batch_percentage, group.warmup_seconds, bake_minutes * 60)
        rollout = with_canary(smooth, canary_minutes * 60)
        if change.stage == "new":
            say(maintenance_window.require_allowed(datetime.now(UTC), rollout.expected_seconds, outside_window_because))
    smoke, comparison = SmokeTest(where), Comparison(where, str(change.wanted), begins=change.stage == "new")

    def proof(version: int) -> None:
        smoke.require_passed(version)
        comparison.require_no_worse()
        say_closed(needs, where.asg_name, latest)

    demands = Demands(release.tags, comparison.remember, smoke.reasons_to_stop, proof, despite)
    return replace_instances(NAME, where, change, rollout, demands, approved_plan, dry_run)


if __name__ == "__main__":
    run(patch_instances)
