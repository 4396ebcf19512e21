"""Watch the runbook itself: tell whoever is on call of runs that ended red, never end, or never happened.

When:     every ten minutes by itself.
Impact:   none, it only looks, and tells people.
Rollback: nothing to undo.

Carries out P93; whom an incident climbs to is data, tasks/on_call.yaml. A dead Prefect server or a dead worker can
not tell of itself: watch those from outside.
"""

from datetime import UTC, datetime

from tasks import expired_approvals, notification, on_call, watched_runs
from tasks.command_line import run
from tasks.notification import Notice
from tasks.on_call import Priority
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.watched_runs import Trouble


@procedure
def watch_runs() -> str:
    """Find runs that ended red, take far too long, or were due and did not happen, and tell people once of each."""
    with phase("look"):
        now = datetime.now(UTC)
        say(f"on call: {on_call.read_on_call().shift(now)}")
        troubles = watched_runs.find_troubles(now)
        say(f"{len(troubles)} troubles")
    with phase("end what nobody approved"):
        for line in expired_approvals.end_expired(now):
            say(line)
    with phase("tell"):
        notices = [Notice(one.key, plan_priority(one), f"{one.deployment}: {one.kind}", one.text) for one in troubles]
        for line in notification.tell(notices):
            say(line)
    return f"{len(troubles)} troubles"


def plan_priority(trouble: Trouble) -> Priority:
    """P1 when production may be half changed, P2 when its safety net is not proven, else P3."""
    if not trouble.deployment.endswith("/prod"):
        return "P3"
    if trouble.kind == "red" and "approval:required" in trouble.tags:
        return "P1"
    return "P2"


if __name__ == "__main__":
    run(watch_runs)
