"""Review the costs: what a month cost and why it changed, what comes next, what to do about it, and what that saved.

When:     once a month by itself, after the bill of the last one; and whenever somebody asks where the money goes.
Impact:   none, it only looks. Each page of an answer costs $0.01, seven or so in all; the report says how much.
Rollback: nothing to undo. What it keeps (answers, ledger, pages) lies below cost/ in the backup bucket.

Carries out P25, P58 as a recommendation (and D24, N20, S19).
"""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tasks import (
    advice,
    compute_optimizer,
    cost_events,
    cost_html,
    cost_optimization_hub,
    cost_page,
    month,
    notification,
    price_list,
    recommendations_egress,
    spending,
)
from tasks.command_line import run
from tasks.cost_page import Review
from tasks.environment import EnvironmentName, describe_environment
from tasks.ledger_update import update_ledger
from tasks.procedure import procedure
from tasks.recommendations import find_recommendations
from tasks.report import phase, say, show
from tasks.scorecard import as_image


@procedure
def review_cost(
    environment: EnvironmentName,
    of_month: Annotated[str | None, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")] = None,
    budget: Annotated[float | None, Field(gt=0, le=100_000_000)] = None,
) -> str:
    """Review a closed month against the one before it; red when the costs are unknown or do not add up.

    Args:
        environment: Whose resources to look at and whose budget; the costs are the account's, by environment.
        of_month: Which month, such as 2026-10; empty takes the last one that is over.
        budget: What this environment may cost in a month, in the account's currency; empty: there is none.
    """
    with phase("check"):
        where = describe_environment(environment)
        today = month.today()
        chosen = spending.choose_month(of_month, today)
    with phase("ask"):
        spent = spending.ask(where.backup_bucket, chosen, today)
    with phase("look"):
        prices = price_list.read_prices(where.backup_bucket, where.region)
        events = cost_events.find_events(where, chosen, prices)
        found = find_recommendations(where, prices)
        hub, no_hub = cost_optimization_hub.list_advice(where.region)
        optimizer, no_optimizer = compute_optimizer.list_advice()
        way_out = recommendations_egress.compare(where.environment, prices)
        ledger = update_ledger(where, found, spent)
    with phase("report"):
        limit = None if budget is None else Decimal(str(budget))
        notes = [one for one in (*found.blind, str(prices), no_hub, no_optimizer, way_out) if one]
        told = advice.merge(hub, optimizer)
        review = Review(environment, spent, events, found.recommendations, told, ledger, notes, limit)
        for title, picture in cost_html.pictures(review):
            show(as_image(picture, title))
        for line in cost_page.lines(review):
            say(line)
        kept = cost_html.keep_page(where, review)
        say(f"kept as {' and '.join(kept)}")
    with phase("tell"):
        sent = notification.notify(f"costs of {where}", cost_page.summary(review))
        say("sent to the channel" if sent else f"no channel: make a Prefect Secret block {notification.USUAL}")
    spent.require_known()
    return cost_page.summary(review)


if __name__ == "__main__":
    run(review_cost)
