"""Check the prerequisites: tools, identity, state backend and permissions, each with its fix.

When:     before the first operation from a new machine or a new role.
Impact:   none, it only looks.
Rollback: nothing to undo.

Carries out P01. MFA and console access can't be seen from here: check them in the console.
"""

from tasks import prerequisites
from tasks.command_line import run
from tasks.finding import as_json, require_none_bad, table
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def check_prerequisites() -> str:
    """Look at everything that the other procedures need; red when something is missing."""
    with phase("check"):
        findings = [prerequisites.check_prerequisite(name) for name in prerequisites.PREREQUISITES]
        for line in table(findings).splitlines():
            say(line)
    require_none_bad(findings)
    return as_json(findings)


if __name__ == "__main__":
    run(check_prerequisites)
