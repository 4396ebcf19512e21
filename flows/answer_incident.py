"""Answer an incident: somebody has it, or it is over; nobody further is woken.

When:     you were told of it and take it; and when users are served again.
Impact:   the escalation stops, but for whoever is told of what stays unresolved. Resolved, changes are welcome again.
Rollback: open_incident under another name.

Carries out P30's and P94's answer.
"""

from typing import Annotated

from pydantic import Field

from tasks import escalation
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def answer_incident(
    environment: EnvironmentName,
    incident: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")],
    by: Annotated[str, Field(min_length=2, max_length=80)],
    resolved: bool = False,
) -> str:
    """Acknowledge an incident, or resolve it.

    Args:
        environment: Where.
        incident: Its name, such as INC-42.
        by: Who has it.
        resolved: It is over.
    """
    with phase("answer"):
        one = escalation.find_incident(environment, incident)
        one = escalation.acknowledge(one, by)
        if resolved:
            one = escalation.resolve(one, by)
            say(f"{one.id} was resolved by {one.resolved_by} at {one.resolved_at}")
        say(str(one))
    return one.id


if __name__ == "__main__":
    run(answer_incident)
