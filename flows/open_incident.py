"""Open an incident: write down what is wrong, and tell whoever is on call at once.

When:     users notice, or a critical alarm does; before looking for the cause.
Impact:   people are told; as long as it is open and urgent, the gate refuses every change that is no cure.
Rollback: answer_incident --resolved.

Carries out P78 and P94. escalate_incidents tells the next ones, until somebody answers.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from tasks import escalation
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.on_call import Priority
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def open_incident(
    environment: EnvironmentName,
    incident: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")],
    title: Annotated[str, Field(min_length=3, max_length=200)],
    priority: Priority = "P1",
) -> str:
    """Open an incident and take the first steps of its escalation; the same name is opened once.

    Args:
        environment: Where.
        incident: Its name, such as INC-42.
        title: What users notice, in a line.
        priority: P0 everything is down, P1 much is, P2 something is, P3 it can wait.
    """
    with phase("open"):
        one = escalation.open_incident(environment, incident, priority, title)
        say(str(one))
    with phase("tell"):
        for line in escalation.escalate(one, datetime.now(UTC)):
            say(f"told {line}")
    return one.id


if __name__ == "__main__":
    run(open_incident)
