"""All that would cost less in an environment, by money."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import chain

from tasks import (
    recommendations_compute,
    recommendations_database,
    recommendations_network,
    recommendations_storage,
)
from tasks.environment import Environment
from tasks.kinds import probe
from tasks.price_list import PriceList
from tasks.recommendation import Recommendation, by_money


@probe
def find_recommendations(where: Environment, prices: PriceList) -> tuple[Recommendation, ...]:
    """From facts in the account alone; the most money first."""
    return by_money(
        chain(
            recommendations_storage.find(where.environment, prices),
            recommendations_network.find(where.environment, prices),
            recommendations_compute.find(where, prices),
            recommendations_database.find(where.environment, prices),
        )
    )


def sum_savings(found: Iterable[Recommendation]) -> Decimal:
    """What all of them together can save: of several for one thing, the best."""
    best: dict[str, Decimal] = {}
    for one in found:
        best[one.resource] = max(best.get(one.resource, Decimal(0)), one.saving or Decimal(0))
    return sum(best.values(), Decimal(0))
