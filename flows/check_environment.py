"""Check an environment: every component once, in parallel.

When:     after any change, in the morning, by itself when a critical alarm is raised: `make health-check ENV=dev`.
Impact:   none, it only looks.
Rollback: nothing to undo.

Carries out P09 and P65, and says of P69 whether the backups' replica is there and how far behind.
"""

from prefect.futures import wait

from tasks import health
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.finding import as_json, require_none_bad, table
from tasks.parameters import Reason
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def check_environment(environment: EnvironmentName, because: Reason = "") -> str:
    """Look at every component of an environment; red when one has failed or could not be looked at.

    Args:
        environment: Which environment to look at.
        because: Why, such as the alarm that was raised; for whoever reads the report.
    """
    with phase("check"):
        if because:
            say(f"asked for because {because}")
        where = describe_environment(environment)
        looks = [health.check_component.submit(name, where) for name in health.COMPONENTS]
        wait(looks)
        findings = [look.result() for look in looks]
        for line in table(findings).splitlines():
            say(line)
    require_none_bad(findings)
    return as_json(findings)


if __name__ == "__main__":
    run(check_environment)
