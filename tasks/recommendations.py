"""All that would cost less in an environment, by money."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from botocore.exceptions import ClientError

from tasks import (
    recommendations_compute,
    recommendations_database,
    recommendations_egress,
    recommendations_images,
    recommendations_network,
    recommendations_storage,
)
from tasks.environment import Environment
from tasks.kinds import probe
from tasks.price_list import PriceList
from tasks.recommendation import Recommendation, by_money

Find = Callable[[], Iterator[Recommendation]]


@dataclass(frozen=True)
class Found:
    """`blind`: where AWS would not let us look, and why: what was found there before may still be there."""

    recommendations: tuple[Recommendation, ...]
    blind: tuple[str, ...] = ()


@probe
def find_recommendations(where: Environment, prices: PriceList) -> Found:
    """From facts in the account alone; the most money first."""
    name = where.environment
    places: dict[str, Find] = {
        "disks, snapshots and logs": lambda: recommendations_storage.find(name, prices),
        "images": lambda: recommendations_images.find(name, prices),
        "addresses and load balancers": lambda: recommendations_network.find(name, prices),
        "the way out": lambda: recommendations_egress.find(name, prices),
        "instances": lambda: recommendations_compute.find(where, prices),
        "databases": lambda: recommendations_database.find(name, prices),
    }
    found: list[Recommendation] = []
    blind = []
    for place, find in places.items():
        try:
            found += find()
        except ClientError as error:
            if not _is_denied(error):
                raise
            blind.append(f"{place} were not looked at, so nothing is recommended there: {error}")
    return Found(by_money(found), tuple(blind))


def _is_denied(error: ClientError) -> bool:
    return error.response["Error"]["Code"].startswith(("AccessDenied", "UnauthorizedOperation"))


def sum_savings(found: Iterable[Recommendation]) -> Decimal:
    """What all of them together can save: of several for one thing, the best."""
    best: dict[str, Decimal] = {}
    for one in found:
        best[one.resource] = max(best.get(one.resource, Decimal(0)), one.saving or Decimal(0))
    return sum(best.values(), Decimal(0))
