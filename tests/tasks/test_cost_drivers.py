"""Numbers add up to the cent, whatever the amounts: property-based."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.cents import to_cents
from tasks.cost_drivers import compare, require_sums, sum_by
from tasks.cost_explorer import Charge
from tasks.errors import VerificationFailed
from tasks.month import Month

OCTOBER = Month.read("2026-10")
SEPTEMBER = OCTOBER.after(-1)
AMOUNTS = st.decimals(-5_000, 50_000, places=10, allow_nan=False)
NAMES = st.text("abcdef", min_size=1, max_size=2)
CELLS = st.dictionaries(st.tuples(NAMES, NAMES), AMOUNTS, max_size=40)


def charge(month: Month, keys: tuple[str, ...], amount: Decimal | str, quantity: str = "24") -> Charge:
    exact = Decimal(amount)
    return Charge(month.first, keys, exact, exact, Decimal(quantity), "Hrs")


@given(CELLS, CELLS)
def test_services_add_up_to_the_month_and_before_with_its_drivers_to_after(
    old: dict[tuple[str, str], Decimal], new: dict[tuple[str, str], Decimal]
) -> None:
    charges = [charge(SEPTEMBER, *one) for one in old.items()] + [charge(OCTOBER, *one) for one in new.items()]
    found = compare(charges, OCTOBER)
    totals = [sum(amounts.values(), Decimal(0)) for amounts in (old, new)]
    assert abs(found.total_before - totals[0]) <= Decimal("0.005")
    assert abs(found.total_after - totals[1]) <= Decimal("0.005")
    services = found.by_service().values()
    assert (sum(b for b, _ in services), sum(a for _, a in services)) == (found.total_before, found.total_after)
    amortized = sum(found.amortized.values(), Decimal(0))
    assert abs(amortized - totals[1]) <= Decimal("0.005"), "nothing was paid up front here"
    for shown in (found.drivers, found.largest(3)):
        assert found.total_before + sum(one.change for one in shown) == found.total_after
    for one in found.drivers:
        assert one.after == one.after.quantize(Decimal("0.01"))
        assert abs(one.after - new.get((one.service, one.usage_type), 0)) < Decimal("0.02")
    require_sums(found, {"environment": [charge(Month.of(one.day), ("dev",), one.unblended) for one in charges]})


@given(st.dictionaries(NAMES, AMOUNTS, max_size=20))
def test_cents_add_up_and_none_is_a_cent_away(exact: dict[str, Decimal]) -> None:
    shown = to_cents(exact)
    assert abs(sum(shown.values(), Decimal(0)) - sum(exact.values(), Decimal(0))) <= Decimal("0.005")
    assert all(abs(shown[key] - exact[key]) < Decimal("0.01") for key in exact)


def test_a_report_that_does_not_add_up_is_red() -> None:
    found = compare([charge(OCTOBER, ("rds", "hours"), "10")], OCTOBER)
    require_sums(found, {"environment": [charge(OCTOBER, ("dev",), "10.004")]})
    with pytest.raises(VerificationFailed, match=r"2026-10 is \$10.00 by usage type and \$9.99 by environment"):
        require_sums(found, {"environment": [charge(OCTOBER, ("dev",), "9.99")]})


def test_a_driver_says_why() -> None:
    charges = [
        charge(SEPTEMBER, ("ec2", "hours"), "10", "100"),
        charge(OCTOBER, ("ec2", "hours"), "15", "150"),
        charge(SEPTEMBER, ("ec2", "disk"), "10", "100"),
        charge(OCTOBER, ("ec2", "disk"), "12", "100"),
        charge(SEPTEMBER, ("sqs", "requests"), "3"),
        charge(OCTOBER, ("rds", "hours"), "4"),
        charge(SEPTEMBER, ("kms", "keys"), "30", "720"),
        charge(OCTOBER, ("kms", "keys"), "31", "744"),
    ]
    why = {f"{one.service} {one.usage_type}": one.why for one in compare(charges, OCTOBER).drivers}
    assert why == {
        "ec2 hours": "+50.00 Hrs (+50%)",
        "ec2 disk": "price per unit +20%",
        "sqs requests": "ended",
        "rds hours": "new",
        "kms keys": "the month is 1 day longer",
    }


def test_a_months_sums_are_of_that_month_alone() -> None:
    charges = [charge(SEPTEMBER, ("rds",), "1"), charge(OCTOBER, ("rds",), "2"), charge(OCTOBER, ("ec2",), "3")]
    assert sum_by(charges, OCTOBER) == {"rds": 2, "ec2": 3}


def test_a_month_ends_where_the_next_begins() -> None:
    assert (str(OCTOBER.after(3)), OCTOBER.after(-10).end, OCTOBER.days) == ("2027-01", date(2026, 1, 1), 31)
