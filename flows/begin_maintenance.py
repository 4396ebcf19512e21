"""Begin maintenance: everything well, a fresh snapshot, the state captured, and the alarms quiet until the window ends.

When:     the announced window has opened, before anything is touched.
Impact:   what the environment's alarms would tell, nobody hears until the window has ended; AWS ends that by itself.
Rollback: end_maintenance; without it the mute ends with the window.

Carries out P71 (and D17).
"""

from datetime import UTC, datetime

from tasks import alarm_mutes, approval, gate, health, maintenance
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.finding import require_none_bad, table
from tasks.parameters import PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say

NAME = "begin-maintenance"


@procedure
def begin_maintenance(environment: EnvironmentName, approved_plan: PlanHash = None, dry_run: bool = False) -> str:
    """Go through the runbook's list before a maintenance; Completed means that work may begin.

    Args:
        environment: What is maintained.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where, now = describe_environment(environment), datetime.now(UTC)
        one = maintenance.require_open(maintenance.find_maintenance(environment), environment, now)
        say(str(one))
        gate.require_allowed(environment)
        say(maintenance.require_fresh_snapshot(where, now))
        findings = [health.check_component(name, where) for name in health.COMPONENTS]
        for line in table(findings).splitlines():
            say(line)
        require_none_bad(findings)
    with phase("plan"):
        quiet = alarm_mutes.plan_mute(where, (), alarm_mutes.minutes_until(one.ends, now), f"maintenance {one.id}")
        plan = maintenance.hash_of(one)
        say(f"plan {plan}: {quiet}")
    if dry_run:
        return plan
    with phase("approve"):
        approval.require_approval(environment, plan, f"{one}; {quiet}", approved_plan)
    with phase("apply"):
        say(f"state before: {maintenance.capture(where, one, 'before', findings)}")
        name = alarm_mutes.mute(quiet, NAME)
        maintenance.keep(one, begun_at=one.begun_at or maintenance.now())
    with phase("verify"):
        say(str(alarm_mutes.wait_until_muted(environment, name)))
    return plan


if __name__ == "__main__":
    run(begin_maintenance)
