"""Review drift: what in the cloud is not as the code says, who changed it, and what was decided about it.

When:     every morning by itself, and before a change that must not take somebody's emergency change back.
Impact:   none; `ignore` writes a decision down.
Rollback: nothing to undo. A decision about a resource is replaced by the next one about it.

Carries out P02 (and N09). CloudTrail keeps in each call's User-Agent which run of this runbook made it.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from tasks import cloudtrail, infrastructure, terraform, tolerated_drift
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.parameters import Reason, ResourceAddresses
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def review_drift(
    environment: EnvironmentName,
    days: Annotated[int, Field(ge=1, le=90)] = 14,
    ignore: ResourceAddresses | None = None,
    until: AwareDatetime | None = None,
    reason: Reason = "",
) -> str:
    """Compare code, state and cloud; name each difference, who made it, and what to do. Red while one is undecided.

    Args:
        environment: Which environment to look at.
        days: How far back to look for who changed something; CloudTrail remembers 90 days.
        ignore: Addresses of resources that may differ until `until`.
        until: When they are findings again, with its time zone, such as 2026-12-01T09:00:00Z.
        reason: Why they may differ until then, such as the incident's number.
    """
    ignored = ignore or []
    with phase("check"):
        say(f"terraform {terraform.require_terraform()}")
        tolerated_drift.require_reason(ignored, until, reason)
        inputs = infrastructure.read_inputs(environment)
    with terraform.workspace(environment, inputs.variables, inputs.secrets) as workspace, phase("look"):
        terraform.init(workspace)
        found = terraform.find_drift(workspace)
        calls = cloudtrail.list_changes(datetime.now(UTC) - timedelta(days=days)) if found else ()
    if until and ignored:
        with phase("decide"):
            tolerated_drift.require_found(ignored, found)
            for address in ignored:
                tolerated_drift.tolerate(environment, address, until, reason)
    with phase("verdict"):
        decided = tolerated_drift.list_tolerances(environment)
        for line in tolerated_drift.page(found, calls, decided) if found else ("code, state and cloud agree",):
            say(line)
        tolerated_drift.require_none_left(environment, found, decided)
    return f"{len(found)} resources differ, each of them tolerated for now" if found else "no drift"


if __name__ == "__main__":
    run(review_drift)
