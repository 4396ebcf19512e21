"""Addresses and load balancers that are paid by the hour without a use."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tasks import aws, usage_metrics
from tasks.price_list import HOURS, PriceList
from tasks.recommendation import Recommendation, is_ours, times, total
from tasks.residue_kinds import tags_of

IDLE_ADDRESS, USED_ADDRESS = "PublicIPv4:IdleAddress", "PublicIPv4:InUseAddress"
BALANCER = "LoadBalancerUsage"
MOST_TAGGED = 20  # load balancers per DescribeTags, an API limit


def find(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    yield from _addresses(environment, prices)
    yield from _load_balancers(environment, prices)


def _addresses(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    for one in aws.client("ec2").describe_addresses()["Addresses"]:
        if "AssociationId" in one or not is_ours(tags_of(one.get("Tags")), environment):
            continue
        yield Recommendation(
            kind="release an unused address",
            resource=one["AllocationId"],
            saving=times(HOURS, prices.dollars(IDLE_ADDRESS)),
            confidence="high",
            effort="low",
            risk="the address is given to somebody else: look for it in DNS and in other people's firewalls first",
            change=f"aws ec2 release-address --allocation-id {one['AllocationId']}",
            seen=f"{one['PublicIp']} is associated with nothing",
            usages=prices.billed(IDLE_ADDRESS),
        )


def _load_balancers(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    """Idle: two weeks old, and not one request in them. CloudWatch tells no requests by telling nothing."""
    for arn, addresses, tags in _tagged_balancers():
        name = arn.partition("loadbalancer/")[2]
        if not name.startswith("app/") or not is_ours(tags, environment):
            continue
        requests = usage_metrics.read("AWS/ApplicationELB", "RequestCount", "Sum", {"LoadBalancer": name})
        if requests.total:
            continue
        targets = _targets(arn)
        yield Recommendation(
            kind="delete an idle load balancer",
            resource=arn,
            saving=total(
                times(HOURS, prices.dollars(BALANCER)),
                times(HOURS * addresses, prices.dollars(USED_ADDRESS)) if addresses else Decimal(0),
            ),
            confidence="medium" if targets else "high",
            effort="low",
            risk="whatever still names it in DNS fails; capacity units come on top of the saving",
            change=f"aws elbv2 delete-load-balancer --load-balancer-arn {arn}",
            seen=f"not one request in {usage_metrics.DAYS} days, {targets} targets, {addresses} public addresses",
            usages=prices.billed(BALANCER, USED_ADDRESS),
        )


def _tagged_balancers() -> Iterator[tuple[str, int, dict[str, str]]]:
    """Those that are old enough to judge. One that faces the internet has an address in each zone."""
    elbv2 = aws.client("elbv2")
    pages = elbv2.get_paginator("describe_load_balancers").paginate()
    oldest = datetime.now(UTC) - timedelta(days=usage_metrics.DAYS)
    found = [one for page in pages for one in page["LoadBalancers"]]
    addresses = {
        one["LoadBalancerArn"]: len(one["AvailabilityZones"]) if one["Scheme"] == "internet-facing" else 0
        for one in found
        if one["CreatedTime"] < oldest
    }
    arns = list(addresses)
    for begin in range(0, len(arns), MOST_TAGGED):
        told = elbv2.describe_tags(ResourceArns=arns[begin : begin + MOST_TAGGED])["TagDescriptions"]
        yield from ((one["ResourceArn"], addresses[one["ResourceArn"]], tags_of(one["Tags"])) for one in told)


def _targets(arn: str) -> int:
    elbv2 = aws.client("elbv2")
    pages = elbv2.get_paginator("describe_target_groups").paginate()
    groups = [one for page in pages for one in page["TargetGroups"] if arn in one["LoadBalancerArns"]]
    asked = (elbv2.describe_target_health(TargetGroupArn=one["TargetGroupArn"]) for one in groups)
    return sum(len(one["TargetHealthDescriptions"]) for one in asked)
