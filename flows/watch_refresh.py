"""Watch an instance refresh that somebody else started, with the errors that the application logs meanwhile.

When:     a deployment or patch runs and you want to see it, from anywhere.
Impact:   none, it only looks; ending it does not end the refresh.
Rollback: nothing to undo. To stop the refresh itself: rollback-instance-refresh, never cancel (D03).

Carries out P14.
"""

from tasks import instance_refresh, logs
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.errors import PreconditionFailed
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def watch_refresh(environment: EnvironmentName) -> str:
    """Attach to the newest instance refresh of an environment and follow it to its end; red unless it is Successful.

    Args:
        environment: Which environment to watch.
    """
    with phase("watch"):
        where = describe_environment(environment)
        refresh = instance_refresh.find_refresh(where.asg_name)
        if refresh is None:
            raise PreconditionFailed(f"{where.asg_name} never had an instance refresh, expected one to watch")
        try:
            ended = instance_refresh.wait_until_ended(refresh)
        finally:
            for line in logs.find_errors(where, refresh.started):
                say(str(line))
        say(f"instance refresh {ended.id} took {ended.seconds:.0f} s and ended {ended}")
        instance_refresh.require_successful(ended)
    return ended.status


if __name__ == "__main__":
    run(watch_refresh)
