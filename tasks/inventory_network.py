"""What exists of a network and its machines, found by what Terraform named and tagged it: import ids by type."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from tasks import aws

Values = Mapping[str, Any]
# What a resource of another environment, or of nobody, does not carry.
OWNERSHIP = ("Name", "Project", "Environment")
# EC2 shows what was deleted for an hour.
ALIVE = "[?State=='available' || State=='pending']"


def _by_tags(operation: str, path: str, values: Values) -> Iterable[str]:
    """`path` is where an answer has the ids, in JMESPath."""
    pages = aws.client("ec2").get_paginator(operation).paginate(Filters=_own(values))
    return list(pages.search(path))


def _own(values: Values) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{name}", "Values": [values["tags_all"][name]]} for name in OWNERSHIP]


def _addresses(values: Values) -> Iterable[str]:
    found = aws.client("ec2").describe_addresses(Filters=_own(values))["Addresses"]
    return [one["AllocationId"] for one in found]


def _tables(values: Values) -> list[dict[str, Any]]:
    """The route table that the values name, if it is known and there."""
    if not values.get("route_table_id"):
        return []
    asked = [{"Name": "route-table-id", "Values": [values["route_table_id"]]}]
    return list(aws.client("ec2").describe_route_tables(Filters=asked)["RouteTables"])


def _routes(values: Values) -> Iterator[str]:
    for table in _tables(values):
        for route in table["Routes"]:
            if route.get("DestinationCidrBlock") == values["destination_cidr_block"]:
                yield f"{table['RouteTableId']}_{route['DestinationCidrBlock']}"


def _associations(values: Values) -> Iterator[str]:
    for table in _tables(values):
        for one in table["Associations"]:
            if one.get("SubnetId") and one["SubnetId"] == values.get("subnet_id"):
                yield f"{one['SubnetId']}/{table['RouteTableId']}"


def _launch_templates(values: Values) -> Iterable[str]:
    asked = [{"Name": "launch-template-name", "Values": [values["name"]]}]
    found = aws.client("ec2").describe_launch_templates(Filters=asked)["LaunchTemplates"]
    return [one["LaunchTemplateId"] for one in found]


def _groups(values: Values) -> Iterable[str]:
    found = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[values["name"]])
    return [one["AutoScalingGroupName"] for one in found["AutoScalingGroups"]]


def _scaling_policies(values: Values) -> Iterator[str]:
    group = values["autoscaling_group_name"]
    pages = aws.client("autoscaling").get_paginator("describe_policies").paginate(PolicyNames=[values["name"]])
    for policy in pages.search("ScalingPolicies[]"):
        if policy["AutoScalingGroupName"] == group:
            yield f"{group}/{policy['PolicyName']}"


NETWORK: Mapping[str, Callable[[Values], Iterable[str]]] = {
    "aws_vpc": partial(_by_tags, "describe_vpcs", "Vpcs[].VpcId"),
    "aws_subnet": partial(_by_tags, "describe_subnets", "Subnets[].SubnetId"),
    "aws_internet_gateway": partial(_by_tags, "describe_internet_gateways", "InternetGateways[].InternetGatewayId"),
    "aws_eip": _addresses,
    "aws_nat_gateway": partial(_by_tags, "describe_nat_gateways", f"NatGateways{ALIVE}.NatGatewayId"),
    "aws_vpc_endpoint": partial(_by_tags, "describe_vpc_endpoints", f"VpcEndpoints{ALIVE}.VpcEndpointId"),
    "aws_route_table": partial(_by_tags, "describe_route_tables", "RouteTables[].RouteTableId"),
    "aws_route": _routes,
    "aws_route_table_association": _associations,
    "aws_security_group": partial(_by_tags, "describe_security_groups", "SecurityGroups[].GroupId"),
    "aws_launch_template": _launch_templates,
    "aws_autoscaling_group": _groups,
    "aws_autoscaling_policy": _scaling_policies,
}
