"""Refresh the prices: ask AWS's Price List for what recommendations are priced with, and keep the answer.

When:     before a cost review by itself, and when a recommendation says 'price unknown'. Needs the internet.
Impact:   none. Asking is free.
Rollback: nothing to undo. The copy that came with the repository counts again when cost/prices/ is removed.

Carries out P25's prices (and S19).
"""

from tasks import price_list
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.errors import VerificationFailed
from tasks.month import today
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def refresh_prices(environment: EnvironmentName) -> str:
    """Keep today's list prices of this environment's region in its backup bucket.

    Args:
        environment: In whose region, and in whose bucket.
    """
    with phase("check"):
        where = describe_environment(environment)
    with phase("ask"):
        found = price_list.get_products(where.region, today())
        price_list.require_some(found)
        say(str(found))
    with phase("keep"):
        price_list.keep_prices(where.backup_bucket, found)
    with phase("verify"):
        kept = price_list.read_prices(where.backup_bucket, where.region)
        if missing := set(found.prices) - set(kept.prices):
            raise VerificationFailed(f"{len(missing)} prices were not kept, expected all. Run it again")
    return str(kept)


if __name__ == "__main__":
    run(refresh_prices)
