"""End maintenance: every component well, the alarms heard again, half an hour watched, and the change written down.

When:     the work is done, or is given up.
Impact:   none; an alarm that is in ALARM tells people as soon as it is heard again.
Rollback: nothing to undo. A red run leaves the window open: mend what it names, and start it again.

Carries out P72 (and D17).
"""

from typing import Annotated

from pydantic import Field

from tasks import alarm_mutes, autoscaling, health, maintenance, notification
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.finding import table
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def end_maintenance(environment: EnvironmentName, watch_minutes: Annotated[float, Field(ge=0, le=120)] = 30) -> str:
    """Go through the runbook's list after a maintenance; Completed means that all is as well as before it.

    Args:
        environment: What was maintained.
        watch_minutes: How long to look at it once the alarms are heard again.
    """
    with phase("check"):
        where, one = describe_environment(environment), maintenance.find_maintenance(environment)
        if one is None:
            say("no maintenance was announced that has not ended")
            return "nothing to do"
        say(str(one))
    with phase("verify"):
        findings = health.wait_until_well(where) if one.begun_at else []
        for line in table(findings).splitlines():
            say(line)
    with phase("unmute"):
        for mute in alarm_mutes.list_mutes(environment):
            alarm_mutes.unmute(mute)
            say(f"heard again: {', '.join(mute.alarms)}")
    if one.begun_at:
        with phase("watch"):
            group = autoscaling.describe_group(where.asg_name)
            maintenance.watch_afterwards(where, watch_minutes, group.desired_capacity)
            say(f"state after: {maintenance.capture(where, one, 'after', findings)}")
    with phase("write down"):
        entry = one.changelog() if one.begun_at else f"{one.id} did not take place"
        say(f"for CHANGELOG.md: {entry}")
        notification.notify(f"Maintenance of {environment} ended", entry)
        maintenance.keep(one, ended_at=maintenance.now())
    return entry


if __name__ == "__main__":
    run(end_maintenance)
