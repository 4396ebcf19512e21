"""Cost reviews: waste and anomalies that were planted and found, and what a review of a large account takes.

`python -m tests.bench.costs` measures this alone.
"""

import json
import random
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx

from tests import account as known
from tests.account import noisy, series
from tests.anomalous import UNSEEN, judge
from tests.carried_out import carry_out, dollars_a_month
from tests.running import clients_of
from tests.waste import Waste

ACCOUNTS = 40
WITH_DATABASES = 4  # each has real PostgreSQL servers: the kinds are the same in all
SERVICES, TAGS = 60, 500
MOST_ERROR = 0.05
SMALLEST = Decimal("0.10")


def measure(lab: dict[str, Any], clients: Callable[[str], Any]) -> dict[str, Any]:
    def call_tool(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return httpx.request(method, f"{lab['url']}{path}", json=body, timeout=300).raise_for_status().json()

    return {
        "waste": waste(call_tool, clients),
        "anomalies": anomalies(),
        "review": [review(call_tool, clients, *size) for size in ((6, 5, 5_000), (SERVICES, TAGS, 5_000))],
        "review_with_small_pages": review(call_tool, clients, SERVICES, TAGS, 1_000),
    }


def waste(call_tool: Callable[..., Any], clients: Callable[[str], Any]) -> dict[str, Any]:
    """Over generated accounts: what was planted and found, what was found and not planted, the largest error.

    The truth is the bill: each recommendation is carried out, and what the account costs falls by so much.
    """
    from tasks import price_list, recommendations  # noqa: PLC0415 - Prefect reads its settings at import
    from tasks.environment import describe_environment  # noqa: PLC0415

    planted = found = false = 0
    errors: list[float] = []
    for seed in range(ACCOUNTS):
        call_tool("POST", "/lab/reset")
        known.build_account(clients)
        call_tool("POST", "/lab/prices", known.price_list())
        plants = Waste(clients, call_tool, seed, databases=seed < WITH_DATABASES).build().planted
        prices = price_list.get_products.fn("eu-north-1", known.TODAY)
        seen = recommendations.find_recommendations.fn(describe_environment.fn("dev"), prices).recommendations
        names = {(one.kind, one.resource) for one in seen}
        planted, found, false = planted + len(plants), found + len(plants & names), false + len(names - plants)
        errors += [error for one in seen if (error := saving_error(call_tool, clients, one)) is not None]
    return {
        "accounts": ACCOUNTS,
        "planted": planted,
        "found": found,
        "false": false,
        "savings_compared": len(errors),
        "largest_error": round(max(errors), 4),
        "is_within_5_percent": max(errors) <= MOST_ERROR,
    }


def saving_error(call_tool: Callable[..., Any], clients: Callable[[str], Any], one: Any) -> float | None:
    """None where so little is promised that a cent decides."""
    before = dollars_a_month(call_tool)
    carry_out(clients, one)
    saved = before - dollars_a_month(call_tool)
    return abs(float(one.saving) / saved - 1) if one.saving and one.saving >= SMALLEST and saved else None


def anomalies() -> dict[str, Any]:
    """On accounts that the method was not made with."""
    score = judge(UNSEEN)
    return {
        "accounts": len(UNSEEN),
        "planted": score.planted,
        "recall": round(score.recall, 3),
        "precision": round(score.precision, 3),
    }


def review(
    call_tool: Callable[..., Any], clients: Callable[[str], Any], services: int, tags: int, page: int
) -> dict[str, Any]:
    """13 months: seconds and paid requests, the first time and again. `page`: groups a page; AWS tells no number."""
    from flows.review_cost import review_cost  # noqa: PLC0415 - Prefect reads its settings at import

    call_tool("POST", "/lab/reset")
    known.build_account(clients)
    call_tool("POST", "/lab/costs", {"series": history(services, tags), "page_groups": page})
    runs = []
    for _ in range(2):
        before, began = paid(call_tool), time.monotonic()
        review_cost("dev")
        runs.append({"seconds": round(time.monotonic() - began, 1), "paid_requests": paid(call_tool) - before})
    return {
        "services": services,
        "tags": tags,
        "page": page,
        "months": known.MONTHS,
        "first": runs[0],
        "again": runs[1],
    }


def history(services: int, tags: int) -> list[dict[str, Any]]:
    """Every tag value on some services, every service under some tag values."""
    dice = random.Random(1)  # noqa: S311 - a repeatable account, not cryptography
    return [
        series(
            f"Service {number % services:02}",
            f"EUN1-Usage-{number % 7}",
            noisy(number, dice.uniform(0.1, 20)),
            tags={"Environment": f"tag-{number % tags:03}"},
        )
        for number in range(2 * max(services, tags))
    ]


def paid(call_tool: Callable[..., Any]) -> int:
    return sum(count for name, count in call_tool("GET", "/lab/counts").items() if name.startswith("ce:"))


if __name__ == "__main__":
    from tests.bench.__main__ import own_lab, prefect

    with own_lab() as started, prefect():
        print(json.dumps(measure(started, clients_of(started)), indent=2))
