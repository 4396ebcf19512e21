"""End idle sessions: take back the connections to the database that nobody uses.

When:     new connections are refused, or the alarm says that more than 80 % of them are in use.
Impact:   a transaction that lay idle for so long is rolled back. The application's pools open again what they need.
          Sessions of RDS itself, superusers, replication and the runbook are left alone; so is one that works again.
Rollback: none: a session that was ended is not missed, or is opened again by its client.

Carries out P85 (and D26). When they come back, find who leaks them: the report says who held them. When pools of the
application hold them all, run refresh_instances.
"""

from typing import Annotated

from pydantic import Field

from tasks import application, approval, gate, sessions
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.parameters import PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def end_idle_sessions(
    environment: EnvironmentName,
    idle_minutes: Annotated[float, Field(gt=0, le=1440)] = 5,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """End every session that its client left idle for so long, and prove that they are gone and the service is well.

    Args:
        environment: Whose database.
        idle_minutes: How long a session has been waiting for its client; one that works is never ended.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
    with phase("plan"):
        plan = sessions.plan_end(environment, idle_minutes)
        say(f"plan {plan.hash}: {plan}")
        for line in plan.table():
            say(line)
    if dry_run:
        return plan.hash
    if plan.sessions:
        with phase("approve"):
            approval.require_approval(environment, plan.hash, str(plan), approved_plan)
        with phase("apply"):
            gate.enter(environment, purpose="cure")
            ended = sessions.terminate_backends(environment, plan.sessions)
            say(f"ended {ended}; {len(plan.sessions) - ended} had gone or worked again, and were left alone")
    with phase("verify"):
        left = sessions.wait_until_ended(environment, plan.sessions)
        say(f"{left.used} of {left.allowed} connections are in use, before it were {plan.used}")
        say(f"{where.alb_url}/health: {application.wait_until_healthy(where)}")
    return plan.hash


if __name__ == "__main__":
    run(end_idle_sessions)
