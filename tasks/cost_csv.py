"""A month's charges as CSV, in the columns of FOCUS (the FinOps open cost and usage specification)."""

import csv
import io
from collections.abc import Iterable

from tasks.cost_explorer import Charge
from tasks.month import Month

# The names that begin with x_ are ours, as FOCUS asks of what it does not define.
COLUMNS = (
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ProviderName",
    "ServiceName",
    "x_UsageType",
    "BilledCost",
    "EffectiveCost",
    "BillingCurrency",
    "ConsumedQuantity",
    "ConsumedUnit",
)


def write(charges: Iterable[Charge], month: Month, currency: str) -> str:
    """From charges by service and usage type. The amounts are exact, not in cents."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    begin, end = (f"{day}T00:00:00Z" for day in (month.first, month.end))
    for one in sorted(charges, key=lambda one: one.keys):
        if month.holds(one.day):
            costs = (one.unblended, one.amortized)
            used = (one.quantity, one.unit)
            table.writerow([begin, end, begin, end, "AWS", *one.keys, *(f"{x:f}" for x in costs), currency, *used])
    return out.getvalue()
