"""Accept a recommendation of a cost review: its promise stands in the ledger, and is measured once it is done.

When:     when somebody has decided to do what a review recommends, before it is done.
Impact:   none on AWS: what was recommended is done by its own procedure, or by hand.
Rollback: none needed: what is accepted and never done stays 'accepted'.

Carries out P25's ledger (and N20).
"""

from typing import Annotated

from pydantic import Field

from tasks import cost_ledger
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.month import today
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def accept_recommendation(
    environment: EnvironmentName,
    recommendation: Annotated[str, Field(pattern=r"^[0-9a-f]{10}$")],
    by: Annotated[str, Field(min_length=2, max_length=80)],
) -> str:
    """Write into the ledger that a recommendation will be carried out.

    Args:
        environment: Whose review recommended it.
        recommendation: Its id in the review.
        by: Who decided it.
    """
    with phase("check"):
        where = describe_environment(environment)
        known = [one for one in cost_ledger.read_ledger(where.backup_bucket) if one.environment == environment]
        wanted = cost_ledger.accept(known, recommendation, by, today())
    with phase("keep"):
        cost_ledger.write_ledger(where.backup_bucket, (wanted,))
        said = f"{wanted.kind} {wanted.resource}: accepted on {wanted.accepted_on} by {wanted.accepted_by}"
        say(said)
    return said


if __name__ == "__main__":
    run(accept_recommendation)
