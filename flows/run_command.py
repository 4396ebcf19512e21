"""Run a command on the instances of an environment, some at a time, and see each one's answer.

When:     you need to know or do something on every machine: uptime, disk space, a restart.
Impact:   that of the command; `max_concurrency` bounds how many run it at once, `max_errors` when it stops spreading.
Rollback: the command's own; nothing here undoes it.

Carries out P90. A session on one instance (P89): aws ssm start-session --target i-...
"""

from typing import Annotated

from pydantic import Field

from tasks import approval, autoscaling, gate, ssm
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.parameters import PlanHash, Reason
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.shell_plan import ShellPlan

ShellLine = Annotated[str, Field(min_length=1, max_length=4000)]
RATE = r"^([1-9]\d?%|100%|[1-9]\d{0,6})$"


@procedure
def run_command(
    environment: EnvironmentName,
    commands: Annotated[list[ShellLine], Field(min_length=1, max_length=100)],
    max_concurrency: Annotated[str, Field(pattern=RATE)] = "1",
    max_errors: Annotated[str, Field(pattern=r"^(\d{1,2}%|100%|\d{1,7})$")] = "0",
    timeout_seconds: Annotated[int, Field(ge=5, le=172_800)] = 600,
    despite: Reason | None = None,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Run shell commands on every instance in service; red unless every one of them succeeded.

    Args:
        environment: On which environment's instances.
        commands: Shell lines, one after the other. What they print is kept in SSM and in the report: no secrets.
        max_concurrency: How many instances run it at the same time, a number or a percentage.
        max_errors: How many may fail before no further instance begins, a number or a percentage.
        timeout_seconds: How long it may take on each instance.
        despite: Why this goes on although the gate refuses, such as the incident's number; empty obeys it.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        ids = tuple(sorted(one.id for one in autoscaling.describe_group(where.asg_name).in_service))
        ssm.require_online(ids)
    with phase("plan"):
        plan = ShellPlan(environment, tuple(commands), ids, max_concurrency, max_errors, timeout_seconds)
        say(f"plan {plan.hash}: {plan}")
    if dry_run:
        return plan.hash
    with phase("approve"):
        gate.require_allowed(environment, risk="high", despite=despite)
        approval.require_approval(environment, plan.hash, str(plan), approved_plan)
    with phase("apply"):
        name = f"runbook {plan.hash} {lock.run_id()}"
        slow = gate.enter(environment, risk="high", despite=despite).is_slow
        command = ssm.send_command(
            ids, plan.commands, name, "1" if slow else max_concurrency, max_errors, timeout_seconds
        )
        say(f"SSM command {command.id}")
        results = ssm.wait_until_command_ended(command, timeout_seconds=plan.longest_seconds)
    with phase("verify"):
        ssm.say_results(results)
        ssm.require_all_succeeded(results, ids)
    return command.id


if __name__ == "__main__":
    run(run_command)
