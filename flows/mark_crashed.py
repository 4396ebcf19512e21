"""Mark a run as crashed whose process is gone, so that it goes on: a dead worker can't say that it died.

When:     by itself, when a running procedure sent no heartbeat for a minute and a half.
Impact:   none on what serves. The automation resume-crashed-run starts the same run again, which looks at the world and
          goes on where it was; it does so three times at most.
Rollback: nothing to undo. A run that lives is heard, and left alone; so is one that waits for a person.

Carries out P14: a change is watched to its end, also when its worker is lost (N15).
"""

from uuid import UUID

from prefect.client.schemas.objects import StateType

from tasks import silent_runs
from tasks.command_line import run as run_from_here
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def mark_crashed(run: UUID) -> str:
    """Listen for a run that fell silent, and mark it as crashed when nothing is heard of it.

    Args:
        run: Id of the flow run.
    """
    with phase("check"):
        seen = silent_runs.describe_run(run)
        say(f"{seen.name} ({run}) is {seen.state_name}, attempt {seen.run_count}")
    if seen.state_type != StateType.RUNNING:
        return f"{seen.name} is {seen.state_name}: nothing to do"
    with phase("listen"):
        if silent_runs.is_heard(run):
            return f"{seen.name} lives"
    with phase("apply"):
        marked = silent_runs.mark_crashed(run, "its heartbeat stopped: its process is gone")
        say("marked as crashed" if marked else "it ended meanwhile, and is left as it is")
    return f"{seen.name} is marked as crashed" if marked else f"{seen.name} ended meanwhile"


if __name__ == "__main__":
    run_from_here(mark_crashed)
