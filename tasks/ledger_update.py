"""Brings the ledger to what a review has found, and measures what is due."""

from tasks import cost_ledger
from tasks.cost_explorer import CostUnavailable, get_cost_and_usage
from tasks.cost_ledger import Entry
from tasks.environment import Environment
from tasks.month import Month
from tasks.recommendations import Found
from tasks.spending import Spending, usage_question


def update_ledger(where: Environment, found: Found, spent: Spending) -> tuple[Entry, ...]:
    """This environment's entries, as they are now."""
    everything = cost_ledger.read_ledger(where.backup_bucket)
    known = tuple(one for one in everything if one.environment == where.environment)
    planned = cost_ledger.plan_entries(
        known, found.recommendations, where.environment, spent.today, saw_all=not found.blind
    )
    entries = {one.id: one for one in planned}
    for month, waiting in cost_ledger.due(entries.values(), spent.month).items():
        entries |= {one.id: one for one in _measured(where, month, waiting, spent)}
    changed = tuple(one for one in entries.values() if one not in known)
    cost_ledger.write_ledger(where.backup_bucket, changed)
    return tuple(entries.values())


def _measured(where: Environment, done: Month, waiting: tuple[Entry, ...], spent: Spending) -> tuple[Entry, ...]:
    """Between the whole month before it was done and the reviewed one. What is not told stays due."""
    before = done.after(-1)
    if "usage" not in spent.answers or not spent.answers["usage"].final:
        return ()
    try:
        asked = get_cost_and_usage(where.backup_bucket, usage_question(before))
    except CostUnavailable as unavailable:
        spent.gaps.append(f"{unavailable}. Savings of what was done in {done} are not measured.")
        return ()
    spent.requests += asked.requests
    return cost_ledger.measure(waiting, (before, asked.charges), (spent.month, spent.charges("usage")))
