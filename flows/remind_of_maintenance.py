"""Remind of maintenance: two hours before it begins, and when its time is over and nobody ended it.

When:     every ten minutes by itself; a reminder is told at most that late, and once.
Impact:   none, it tells people.
Rollback: nothing to undo; end_maintenance stops it.

Carries out P70.
"""

from datetime import UTC, datetime
from typing import get_args

from tasks import maintenance, notification
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def remind_of_maintenance() -> str:
    """Tell people what they should know now of each announced maintenance."""
    told = []
    with phase("tell"):
        for environment in get_args(EnvironmentName):
            one = maintenance.find_maintenance(environment)
            due = maintenance.reminder(one, datetime.now(UTC)) if one else None
            if not one or not due:
                continue
            name, text = due
            say(f"{one}: {text}")
            notification.require_told(f"Maintenance of {environment}", f"{one}: {text}")
            maintenance.keep(one, told=[*one.told, name])
            told.append(f"{environment} {name}")
    return f"told {', '.join(told) or 'nobody'}"


if __name__ == "__main__":
    run(remind_of_maintenance)
