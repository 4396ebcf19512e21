"""Show the instances of an environment: what each runs, where, how healthy, and what patches it misses.

When:     you want to know which machines there are, before and after a change.
Impact:   none, it only looks.
Rollback: nothing to undo.

Carries out P88 (and D08).
"""

import json

from tasks import autoscaling, instances
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def show_instances(environment: EnvironmentName) -> str:
    """Every instance of the group with its zone, state, health, template version, release, machine image and patches.

    Args:
        environment: Whose instances to show.
    """
    with phase("instances"):
        where = describe_environment(environment)
        group = autoscaling.describe_group(where.asg_name)
        found = instances.describe_instances(where, group)
        for line in instances.table(found).splitlines():
            say(line)
        say(f"to open a shell: aws ssm start-session --target {found[0].id if found else 'i-...'}")
    return json.dumps([one.facts() for one in found], indent=2)


if __name__ == "__main__":
    run(show_instances)
