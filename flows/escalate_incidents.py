"""Escalate incidents: tell the next people of each incident that nobody has answered in time.

When:     every two minutes by itself; a step is told at most that late.
Impact:   none, it tells people.
Rollback: nothing to undo; answer_incident stops it.

Carries out P94. Who is told, and after how many minutes, is data: tasks/on_call.yaml. What was told is kept in SSM, so
that a killed run, a dead worker or another server goes on where it was.
"""

from datetime import UTC, datetime
from typing import get_args

from tasks import escalation
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def escalate_incidents() -> str:
    """Take every step of every open incident's escalation that is due and was not taken yet."""
    told = 0
    with phase("tell"):
        for environment in get_args(EnvironmentName):
            for incident in escalation.find_open(environment):
                say(str(incident))
                for line in escalation.escalate(incident, datetime.now(UTC)):
                    told += 1
                    say(f"told {line}")
    return f"told {told}"


if __name__ == "__main__":
    run(escalate_incidents)
