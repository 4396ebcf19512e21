"""Exact amounts shown in cents so that what is shown adds up, too."""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import TypeVar

K = TypeVar("K")
CENT = Decimal("0.01")


def to_cent(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def to_cents(exact: Mapping[K, Decimal], total: Decimal | None = None) -> dict[K, Decimal]:
    """Each amount in whole cents, rounded down or up so that their sum is `total`, the exact sum's cents by default.

    The cents that rounding down leaves over go to the amounts that lost most by it.
    """
    wanted = to_cent(sum(exact.values(), Decimal(0))) if total is None else total
    shown = {key: amount.quantize(CENT, ROUND_FLOOR) for key, amount in exact.items()}
    left = int((wanted - sum(shown.values(), Decimal(0))) / CENT)
    if not 0 <= left <= len(shown):
        raise ValueError(f"amounts of {sum(exact.values(), Decimal(0))} can't be shown as {wanted}")
    by_loss = sorted(shown, key=lambda key: exact[key] - shown[key], reverse=True)
    return {**shown, **{key: shown[key] + CENT for key in by_loss[:left]}}


def dollars(amount: Decimal) -> str:
    return f"{amount:,.2f}"
