"""Announce maintenance: tell people what will be done and when, a day or more before.

When:     24 to 48 hours ahead of planned work that users may notice.
Impact:   none, it tells people and writes the window down.
Rollback: end_maintenance takes it off again.

Carries out P70.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from tasks import maintenance, notification
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.parameters import Reason
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def announce_maintenance(
    environment: EnvironmentName,
    begins: AwareDatetime,
    what: Annotated[str, Field(min_length=5, max_length=300)],
    minutes: Annotated[int, Field(ge=5, le=180)] = 60,
    late_because: Reason | None = None,
    dry_run: bool = False,
) -> str:
    """Write a maintenance window down and tell people of it; returns its id.

    Args:
        environment: What is maintained.
        begins: When, with its time zone, such as 2026-11-29T02:00:00Z; inside the weekly window.
        what: What is done and what users may notice, as they should read it.
        minutes: How long it takes at most.
        late_because: Why it is announced late or lies outside of the weekly window; empty refuses that.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        describe_environment(environment)
        now = datetime.now(UTC)
        plan = maintenance.plan_maintenance(environment, begins, minutes, what, now, late_because)
        known = maintenance.find_maintenance(environment)
        maintenance.require_no_other(known, plan, now)
    with phase("plan"):
        say(str(plan))
    if dry_run or (known and known.id == plan.id):
        return plan.id
    with phase("announce"):
        said = f"{plan}{f'. Announced late because: {late_because}' if late_because else ''}"
        notification.require_told(f"Maintenance of {environment} announced", said)
        maintenance.keep(plan)
    return plan.id


if __name__ == "__main__":
    run(announce_maintenance)
