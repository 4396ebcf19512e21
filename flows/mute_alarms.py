"""Mute alarms: nobody is told while something is done on purpose, and AWS ends that by itself.

When:     during planned work, or when an alarm is known and being mended: acknowledge the incident first.
Impact:   what these alarms would tell, nobody hears. They go on changing their state, so the gate, checks and rollbacks
          see them; those that scaling policies follow are never muted.
Rollback: by itself after the given minutes, whatever became of this run; at once with --end. An alarm that is in ALARM
          then tells people.

Carries out P31 (and D17, N05).
"""

from typing import Annotated

from pydantic import Field

from tasks import alarm_mutes, approval
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.parameters import PlanHash, Reason
from tasks.procedure import procedure
from tasks.report import phase, say

AlarmName = Annotated[str, Field(min_length=1, max_length=255)]
NAME = "mute-alarms"


@procedure
def mute_alarms(
    environment: EnvironmentName,
    reason: Reason = "",
    minutes: Annotated[int, Field(ge=1, le=1440)] = 60,
    alarms: Annotated[list[AlarmName], Field(max_length=100)] | None = None,
    end: bool = False,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Mute an environment's alarms for a while, or end that now; returns the name of the rule.

    Args:
        environment: Whose alarms.
        reason: Why nobody is to be told, such as the incident's number.
        minutes: For how long; AWS ends it by itself.
        alarms: Which ones, by name; empty mutes all of the environment's.
        end: End every mute of this environment now instead.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        active = alarm_mutes.list_mutes(environment)
        for one in active:
            say(str(one))
    if end:
        return _end(active, dry_run)
    with phase("plan"):
        plan = alarm_mutes.plan_mute(where, alarms or (), minutes, reason)
        say(f"plan {plan.hash}: {plan}")
    if dry_run:
        return plan.hash
    with phase("approve"):
        approval.require_approval(environment, plan.hash, str(plan), approved_plan)
    with phase("apply"):
        name = alarm_mutes.mute(plan, NAME)
    with phase("verify"):
        say(str(alarm_mutes.wait_until_muted(environment, name)))
    return name


def _end(active: tuple[alarm_mutes.Mute, ...], dry_run: bool) -> str:
    if not dry_run:
        with phase("apply"):
            for one in active:
                alarm_mutes.unmute(one)
                say(f"ended {one.name}")
    return f"{len(active)} mutes{' would be' if dry_run else ''} ended"


if __name__ == "__main__":
    run(mute_alarms)
