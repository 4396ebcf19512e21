"""The copy of AWS's prices: each has a source and a day, and what has none is unknown."""

from datetime import date
from decimal import Decimal

from tasks import recommendations_egress as egress
from tasks import recommendations_network as network
from tasks.instance_sizes import half, newer, on_arm
from tasks.price_list import (
    BACKUP_USAGE,
    COPY,
    IMAGES_USAGE,
    LOGS_USAGE,
    PriceList,
    database_usage,
    decode,
    encode,
    instance_usage,
    storage_usage,
)

PRICES = decode((COPY / "eu-north-1.json").read_text())
LIST = PriceList("eu-north-1", PRICES)


def test_each_price_of_the_copy_names_its_source_and_its_day() -> None:
    for name, one in PRICES.items():
        assert Decimal(one.dollars) > 0, name
        assert one.unit in ("Hrs", "GB-Mo", "GB", "LCU-Hrs"), name
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
        for kind in ("gp2", "gp3"):
            assert LIST.dollars(storage_usage(kind, multi_az=multi_az))


def test_what_recommendations_ask_for_is_priced() -> None:
    through = (egress.NAT_HOURS, egress.NAT_BYTES, egress.ENDPOINT_HOURS, egress.ENDPOINT_BYTES)
    met = (network.BALANCER, network.IDLE_ADDRESS, network.USED_ADDRESS)
    for name in (*through, *met, BACKUP_USAGE, IMAGES_USAGE, LOGS_USAGE):
        assert LIST.dollars(name), name


def test_what_no_source_was_found_for_is_unknown() -> None:
    assert LIST.dollars(storage_usage("io2", multi_az=False)) is None
    assert PriceList("eu-north-1", {}).monthly("BoxUsage:t3.micro") is None


def test_kept_prices_are_read_as_they_were() -> None:
    assert decode(encode(PRICES)) == PRICES
