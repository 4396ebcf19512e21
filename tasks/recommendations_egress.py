"""Dev's way out: how many NAT gateways it needs, and whether endpoints would be cheaper than any."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tasks import aws, usage_metrics
from tasks.cents import dollars
from tasks.price_list import HOURS, PriceList
from tasks.recommendation import Recommendation, difference, times, total
from tasks.recommendations_network import USED_ADDRESS
from tasks.terraform_diff import add_to, set_variable

NAT_HOURS, NAT_BYTES = "NatGateway-Hours", "NatGateway-Bytes"
ENDPOINT_HOURS, ENDPOINT_BYTES = "VpcEndpoint-Hours", "VpcEndpoint-Bytes"
# What an instance calls: its user data, the agents on it, and the flows through Systems Manager.
SERVICES = ("ec2messages", "ecr.api", "ecr.dkr", "logs", "monitoring", "secretsmanager", "ssm", "ssmmessages")
GB = Decimal(10**9)
DAYS_PER_MONTH = HOURS / 24
MAIN = "terraform/environments/dev/main.tf"
ENDPOINTS = """# One zone: what comes from the others is paid for, which is less than an endpoint in each.
resource "aws_security_group" "endpoints" {
  name        = "${local.name}-endpoints-sg"
  description = "Endpoints: AWS APIs for the instances"
  vpc_id      = module.vpc.vpc_id

  ingress {
    description = "HTTPS from the instances"
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = module.vpc.private_subnet_cidrs
  }
}

resource "aws_vpc_endpoint" "api" {
  for_each            = toset(SERVICES)
  vpc_id              = module.vpc.vpc_id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [module.vpc.private_subnet_ids[0]]
  security_group_ids  = [aws_security_group.endpoints.id]
}""".replace("SERVICES", json.dumps(SERVICES))


@dataclass(frozen=True)
class WayOut:
    """Dev's NAT gateways with their public addresses, and what went through them in a month, None where unknown."""

    gateways: tuple[str, ...]
    addresses: int
    gigabytes: Decimal | None

    def by_gateways(self, prices: PriceList) -> Decimal | None:
        return total(
            times(HOURS * len(self.gateways), prices.dollars(NAT_HOURS)),
            times(HOURS * self.addresses, prices.dollars(USED_ADDRESS)) if self.addresses else Decimal(0),
            self._through(prices, NAT_BYTES),
        )

    def by_endpoints(self, prices: PriceList) -> Decimal | None:
        hours = times(HOURS * len(SERVICES), prices.dollars(ENDPOINT_HOURS))
        return total(hours, self._through(prices, ENDPOINT_BYTES))

    def _through(self, prices: PriceList, usage: str) -> Decimal | None:
        return None if self.gigabytes is None else times(self.gigabytes, prices.dollars(usage))


def find(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    way = _look(environment)
    if way is None:
        return
    if len(way.gateways) > 1:
        yield _share_one(way, prices)
    saving = difference(way.by_gateways(prices), way.by_endpoints(prices))
    if saving is not None and saving > 0:
        yield _replace_all(way, saving, prices)


def compare(environment: str, prices: PriceList) -> str:
    """A sentence for the report, also where all may stay as it is; empty where there is no NAT gateway in dev."""
    way = _look(environment)
    if way is None:
        return ""
    gateways, endpoints = (
        "an unknown sum" if one is None else f"${dollars(one)} a month"
        for one in (way.by_gateways(prices), way.by_endpoints(prices))
    )
    seen = "traffic is not measured" if way.gigabytes is None else f"{way.gigabytes:.1f} GB a month go through"
    return (
        f"dev's way out: {len(way.gateways)} NAT gateways cost {gateways} ({seen}); {len(SERVICES)} interface endpoints"
        f" in one zone instead would cost {endpoints}"
    )


def _look(environment: str) -> WayOut | None:
    """Prod's gateways are what keeps a zone's failure in it: only dev's are compared."""
    if environment != "dev":
        return None
    wanted = [{"Name": "state", "Values": ["available"]}, {"Name": "tag:Environment", "Values": [environment]}]
    pages = aws.client("ec2").get_paginator("describe_nat_gateways").paginate(Filters=wanted)
    found: list[Mapping[str, Any]] = [one for page in pages for one in page["NatGateways"]]
    if not found:
        return None
    names = tuple(sorted(one["NatGatewayId"] for one in found))
    addresses = sum("PublicIp" in address for one in found for address in one.get("NatGatewayAddresses", ()))
    return WayOut(names, addresses, _gigabytes(names))


def _gigabytes(names: Sequence[str]) -> Decimal | None:
    """A gateway is paid for what comes in from both sides."""
    metrics = ("BytesInFromSource", "BytesInFromDestination")
    used = [
        usage_metrics.read("AWS/NATGateway", metric, "Sum", {"NatGatewayId": name})
        for name in names
        for metric in metrics
    ]
    if not all(one.is_known for one in used):
        return None
    return sum((Decimal(one.total) / Decimal(one.days) for one in used), Decimal(0)) * DAYS_PER_MONTH / GB


def _share_one(way: WayOut, prices: PriceList) -> Recommendation:
    less = len(way.gateways) - 1
    spared = way.addresses * less // len(way.gateways)
    return Recommendation(
        kind="share one NAT gateway",
        resource=",".join(way.gateways),
        saving=total(
            times(HOURS * less, prices.dollars(NAT_HOURS)),
            times(HOURS * spared, prices.dollars(USED_ADDRESS)) if spared else Decimal(0),
        ),
        confidence="high",
        effort="low",
        risk="when its zone fails, dev reaches nothing outside; traffic from other zones is paid for",
        change=set_variable("dev", "nat_gateway_per_az", "true", "false"),
        seen=f"{len(way.gateways)} NAT gateways in dev, {way.addresses} public addresses",
        usages=prices.billed(NAT_HOURS, USED_ADDRESS),
    )


def _replace_all(way: WayOut, saving: Decimal, prices: PriceList) -> Recommendation:
    return Recommendation(
        kind="replace NAT gateways by endpoints",
        resource=",".join(way.gateways),
        saving=saving,
        confidence="low",
        effort="high",
        risk="dev reaches AWS and nothing else: look in the flow logs for other destinations before the last gateway"
        " is taken out of module vpc, which knows no environment without one",
        change=add_to(MAIN, ENDPOINTS),
        seen=f"{way.gigabytes:,.0f} GB a month through {len(way.gateways)} NAT gateways",
        usages=prices.billed(NAT_HOURS, NAT_BYTES, ENDPOINT_HOURS, ENDPOINT_BYTES),
    )
