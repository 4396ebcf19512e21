"""Waste that is planted is found, nothing else is, and what it costs is what the bill falls by once it is gone."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tasks import price_list, recommendations, recommendations_compute, recommendations_egress
from tasks.environment import describe_environment
from tasks.instance_sizes import half, memory_gib, newer, on_arm
from tests import account as known
from tests.carried_out import carry_out, dollars_a_month
from tests.waste import Waste


def test_all_planted_waste_is_found_nothing_else_and_the_bill_falls_by_what_was_promised(
    account: dict[str, Any], client: Callable[..., Any], call_tool: Callable[..., Any]
) -> None:
    known.build_account(client)
    call_tool("POST", "/lab/prices", known.price_list())
    planted = Waste(client, call_tool, seed=1).build().planted
    where = describe_environment.fn("dev")
    prices = price_list.get_products.fn("eu-north-1", known.TODAY)
    found = recommendations.find_recommendations.fn(where, prices).recommendations
    assert {(one.kind, one.resource) for one in found} == planted
    unknown = recommendations.find_recommendations.fn(where, price_list.PriceList("eu-north-1", {})).recommendations
    assert {(one.kind, one.resource) for one in unknown} == planted
    assert {one.money for one in unknown} == {"price unknown"}
    for one in found:
        before = dollars_a_month(call_tool)
        carry_out(client, one)
        assert float(one.saving or 0) == pytest.approx(before - dollars_a_month(call_tool), rel=0.05, abs=0.01), one
    left = recommendations.find_recommendations.fn(where, prices).recommendations
    assert {one.kind for one in left} <= {"use Graviton"}, "a newer generation may have a like on Graviton"


def test_dev_may_sleep_when_nobody_works_at_night(
    account: dict[str, Any], client: Callable[..., Any], call_tool: Callable[..., Any]
) -> None:
    known.build_account(client)
    call_tool("POST", "/lab/prices", known.price_list())
    where = describe_environment.fn("dev")
    resize(client, where.asg_name, 1)
    balancer = {"LoadBalancer": where.alb_arn.partition("loadbalancer/")[2]}
    named = (client, "AWS/ApplicationELB", "RequestCount", balancer)
    known.hourly(*named, lambda at: 500 * (8 <= at.hour < 18 and at.weekday() < 5))
    prices = price_list.get_products.fn("eu-north-1", known.TODAY)
    (found,) = recommendations_compute.find(where, prices)
    assert (found.kind, found.resource) == ("let dev sleep at night", where.asg_name)
    awake = dollars_a_month(call_tool)
    resize(client, where.asg_name, 0)
    asleep = awake - dollars_a_month(call_tool)
    assert float(found.saving or 0) == pytest.approx(asleep * (168 - 5 * 13) / 168, rel=0.05)
    resize(client, where.asg_name, 1)
    known.hourly(*named, lambda at: 200 * (at.weekday() >= 5))
    assert not list(recommendations_compute.find(where, prices))


def resize(client: Callable[..., Any], group: str, size: int) -> None:
    client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=group, DesiredCapacity=size)
    deadline = time.monotonic() + 30
    running = [{"Name": "instance-state-name", "Values": ["running", "shutting-down"]}]
    while len(client("ec2").describe_instances(Filters=running)["Reservations"]) != size:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_endpoints_are_recommended_where_they_cost_less_than_what_goes_through_nat_gateways(
    account: dict[str, Any], client: Callable[..., Any], call_tool: Callable[..., Any]
) -> None:
    call_tool("POST", "/lab/prices", known.price_list())
    vpc = client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    tags = [{"ResourceType": "natgateway", "Tags": [{"Key": "Environment", "Value": "dev"}]}]
    made = client("ec2").create_nat_gateway(SubnetId=subnet, ConnectivityType="private", TagSpecifications=tags)
    name, prices = made["NatGateway"]["NatGatewayId"], price_list.get_products.fn("eu-north-1", known.TODAY)
    assert not list(recommendations_egress.find("dev", prices))
    assert "traffic is not measured" in recommendations_egress.compare("dev", prices)
    for metric in ("BytesInFromSource", "BytesInFromDestination"):
        known.hourly(client, "AWS/NATGateway", metric, {"NatGatewayId": name}, lambda _: 5e9)
    (found,) = recommendations_egress.find("dev", prices)
    through = Decimal(10 * 730)  # GB in a month
    truth = 730 * Decimal("0.046") + through * Decimal("0.046") - 8 * 730 * Decimal("0.011") - through * Decimal("0.01")
    assert found.saving is not None
    assert abs(found.saving / truth - 1) < Decimal("0.05")
    assert f"cost ${730 * Decimal('0.011') * 8 + through * Decimal('0.01'):,.0f}"[
        :-2
    ] in recommendations_egress.compare("dev", prices)
    assert not list(recommendations_egress.find("prod", prices))


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
