"""Waste that is planted is found at its price, and nothing else is: on accounts generated from a seed."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tasks import price_list, recommendations, recommendations_compute
from tasks.environment import describe_environment
from tasks.instance_sizes import half, memory_gib, newer, on_arm
from tests import account as known
from tests.waste import Waste


@pytest.mark.parametrize("seed", [1, 2])
def test_all_planted_waste_is_found_at_its_price_and_nothing_else(
    account: dict[str, Any], client: Callable[..., Any], call_tool: Callable[..., Any], seed: int
) -> None:
    known.build_account(client)
    call_tool("POST", "/lab/prices", known.price_list())
    planted = Waste(client, call_tool, seed, databases=seed == 1).build().planted
    where = describe_environment.fn("dev")
    found = recommendations.find_recommendations.fn(where, price_list.get_products.fn("eu-north-1", known.TODAY))
    assert {(one.kind, one.resource) for one in found} == set(planted)
    for one in found:
        assert one.saving is not None
        assert abs(one.saving - planted[one.kind, one.resource]) <= Decimal("0.05") * one.saving, str(one)
    unknown = recommendations.find_recommendations.fn(where, price_list.PriceList("eu-north-1", {}))
    assert {(one.kind, one.resource) for one in unknown} == set(planted)
    assert {one.money for one in unknown} == {"price unknown"}


def test_dev_may_sleep_when_nobody_works_at_night(account: dict[str, Any], client: Callable[..., Any]) -> None:
    known.build_account(client)
    where = describe_environment.fn("dev")
    client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=where.asg_name, DesiredCapacity=1)
    deadline = time.monotonic() + 30
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    while not client("ec2").describe_instances(Filters=running)["Reservations"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    balancer = {"LoadBalancer": where.alb_arn.partition("loadbalancer/")[2]}
    named = (client, "AWS/ApplicationELB", "RequestCount", balancer)
    known.hourly(*named, lambda at: 500 * (8 <= at.hour < 18 and at.weekday() < 5))
    prices = price_list.PriceList("eu-north-1", {"EUN1-BoxUsage:t4g.micro": price_list.Price("0.008", "Hrs", "", "")})
    (found,) = recommendations_compute.find(where, prices)
    assert (found.kind, found.resource) == ("let dev sleep at night", where.asg_name)
    assert found.saving == round(Decimal("0.008") * 730 * (168 - 65) / 168, 2)
    known.hourly(*named, lambda at: 200 * (at.weekday() >= 5))
    assert not list(recommendations_compute.find(where, prices))


@pytest.mark.parametrize(
    ("name", "smaller", "next_generation", "arm", "gib"),
    [
        ("t3.micro", "t3.nano", None, "t4g.micro", 1),
        ("t3.nano", None, None, "t4g.nano", 0.5),
        ("t2.micro", "t2.nano", "t3.micro", None, 1),
        ("m5.large", None, None, "m6g.large", 8),
        ("r5.xlarge", "r5.large", None, "r6g.xlarge", 32),
        ("db.t4g.micro", None, None, None, 1),
        ("db.t3.small", "db.t3.micro", None, "db.t4g.small", 2),
        ("x9.metal", None, None, None, None),
    ],
)
def test_sizes(name: str, smaller: str | None, next_generation: str | None, arm: str | None, gib: float | None) -> None:
    assert (half(name), newer(name), on_arm(name), memory_gib(name)) == (smaller, next_generation, arm, gib)
