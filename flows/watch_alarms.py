"""Watch the alarms of an environment: each one that is raised starts a diagnosis, once.

When:     every five minutes by itself.
Impact:   none, it only looks. Prefect's automation alarm-in-ENVIRONMENT starts check_environment.
Rollback: nothing to undo.

Carries out P76: what is wrong is looked at before somebody asks.
"""

from tasks import alarm_events, cloudwatch
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def watch_alarms(environment: EnvironmentName) -> str:
    """Tell Prefect of each critical alarm that was raised, so that its automations act on it.

    Args:
        environment: Whose alarms.
    """
    with phase("look"):
        where = describe_environment(environment)
        raised = cloudwatch.find_raised_alarms(where.critical_alarm_names)
        say(f"{len(raised)} of {len(where.critical_alarm_names)} critical alarms are in ALARM")
    with phase("tell"):
        for alarm in raised:
            is_new = alarm_events.announce(environment, alarm)
            say(f"{alarm.name}, since {alarm.since:%H:%M:%S} UTC: {'told' if is_new else 'told already'}")
    return f"{len(raised)} alarms"


if __name__ == "__main__":
    run(watch_alarms)
