"""The copy of AWS's prices: each has a source and a day, and what has none is unknown."""

from datetime import date
from decimal import Decimal

from tasks.instance_sizes import half, newer, on_arm
from tasks.price_list import COPY, PriceList, database_usage, decode, encode, instance_usage

PRICES = decode((COPY / "eu-north-1.json").read_text())
LIST = PriceList("eu-north-1", PRICES)


def test_each_price_of_the_copy_names_its_source_and_its_day() -> None:
    for name, one in PRICES.items():
        assert Decimal(one.dollars) > 0, name
        assert one.unit in ("Hrs", "GB-Mo"), name
        assert len(one.source) > 30, name
        assert date(2024, 1, 1) <= date.fromisoformat(one.day) <= date(2026, 12, 31), name


def test_what_this_project_runs_is_priced_and_so_are_its_alternatives() -> None:
    for kind in ("t3.micro", "t3.small"):
        smaller, arm = half(kind), on_arm(kind)
        assert newer(kind) is None
        for name in (kind, smaller, arm):
            assert name
            assert LIST.monthly(instance_usage(name))
    for multi_az in (True, False):
        assert LIST.monthly(database_usage("db.t3.micro", multi_az=multi_az))


def test_what_no_source_was_found_for_is_unknown() -> None:
    assert LIST.dollars("NatGateway-Hours") is None
    assert PriceList("eu-north-1", {}).monthly("BoxUsage:t3.micro") is None


def test_kept_prices_are_read_as_they_were() -> None:
    assert decode(encode(PRICES)) == PRICES
