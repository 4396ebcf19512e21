"""Subnets that a network ACL cuts off: how a zone is lost on purpose, as AWS FIS and the Chaos Toolkit do it."""

from typing import Any

from moto.ec2.models import ec2_backends

EVERYWHERE = "0.0.0.0/0"
ALL_PROTOCOLS = "-1"


def cut_off_subnets(backend: Any) -> set[str]:
    """The subnets of moto's EC2 backend in which no packet arrives, or from which none leaves."""
    return {
        association.subnet_id
        for acl in backend.network_acls.values()
        if denies_all(acl.network_acl_entries)
        for association in acl.associations
    }


def is_lost(db: Any, zone: str | None) -> bool:
    """Whether a DB instance has subnets in this zone, all of them cut off."""
    group = getattr(db, "db_subnet_group", None)
    every = group.subnets if group else []
    there = {one["SubnetIdentifier"] for one in every if one["SubnetAvailabilityZone"]["Name"] == zone}
    return bool(there) and there <= cut_off_subnets(ec2_backends[db.account_id][db.region])


def denies_all(entries: list[Any]) -> bool:
    """An ACL keeps no state: whoever can't answer is as far away as who can't be asked."""
    return any(not _lets_pass([one for one in entries if one.egress is egress]) for egress in (True, False))


def _lets_pass(entries: list[Any]) -> bool:
    """Whether any rule allows something before one denies the rest; what no rule allows is denied."""
    for entry in sorted(entries, key=lambda one: int(one.rule_number)):
        if entry.rule_action == "allow":
            return True
        if str(entry.protocol) == ALL_PROTOCOLS and entry.cidr_block == EVERYWHERE:
            return False
    return False
