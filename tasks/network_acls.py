"""Network ACLs of EC2: subnets that a drill cuts off from everything, and connects again as they were."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks import aws
from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe
from tasks.residue import as_specifications

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


@probe
def find_subnets(of: str, zone: str) -> tuple[str, ...]:
    """All subnets in a zone of the VPC that has this one."""
    ec2 = _ec2()
    vpc = ec2.describe_subnets(SubnetIds=[of])["Subnets"][0]["VpcId"]
    wanted = {"vpc-id": vpc, "availability-zone": zone}
    found = ec2.describe_subnets(Filters=[{"Name": name, "Values": [value]} for name, value in wanted.items()])
    return tuple(sorted(one["SubnetId"] for one in found["Subnets"]))


@probe
def find_zones(subnets: tuple[str, ...]) -> tuple[str, ...]:
    found = _ec2().describe_subnets(SubnetIds=list(subnets))["Subnets"]
    return tuple(sorted({one["AvailabilityZone"] for one in found}))


@probe
def describe_acls(subnets: tuple[str, ...]) -> dict[str, str]:
    """The ACL of each subnet."""
    return {subnet: acl for subnet, (acl, _) in _associations(subnets).items()}


@action
def cut_off_subnets(subnets: tuple[str, ...], name: str) -> None:
    """Give them an ACL of this name, which allows nothing: no packet passes, of connections that are open either."""
    ec2 = _ec2()
    deny = _find(name)
    if deny is None:
        vpc = ec2.describe_subnets(SubnetIds=[subnets[0]])["Subnets"][0]["VpcId"]
        made = ec2.create_network_acl(VpcId=vpc, TagSpecifications=as_specifications({"Name": name}, "network-acl"))
        deny = made["NetworkAcl"]["NetworkAclId"]
    for acl, association in _associations(subnets).values():
        if acl != deny:
            ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=deny)


@action
def connect_subnets(before: Mapping[str, str], name: str) -> None:
    """Give each the ACL that it had, and remove the one of this name; what has another one meanwhile keeps that."""
    ec2, deny = _ec2(), _find(name)
    if deny is None:
        return
    for subnet, (acl, association) in _associations(tuple(before)).items():
        if acl == deny:
            ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=before[subnet])
    ec2.delete_network_acl(NetworkAclId=deny)


def _find(name: str) -> str | None:
    found = _ec2().describe_network_acls(Filters=[{"Name": "tag:Name", "Values": [name]}])["NetworkAcls"]
    return found[0]["NetworkAclId"] if found else None


def _associations(subnets: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """ACL and association of each subnet; every subnet has one."""
    asked = [{"Name": "association.subnet-id", "Values": list(subnets)}]
    acls = _ec2().describe_network_acls(Filters=asked)["NetworkAcls"]  # type: ignore[arg-type]
    found = {
        one["SubnetId"]: (one["NetworkAclId"], one["NetworkAclAssociationId"])
        for acl in acls
        for one in acl["Associations"]
        if one["SubnetId"] in subnets
    }
    if missing := sorted(set(subnets) - set(found)):
        raise PreconditionFailed(f"{', '.join(missing)} have no network ACL, expected one each: look at the VPC")
    return found


def _ec2() -> "EC2Client":
    client: EC2Client = aws.client("ec2")
    return client
