"""The database as Terraform's state knows it: what a restore must have too, whatever was changed by hand since."""

import json
from typing import Any

from tasks import aws, s3
from tasks.rds import DBInstance
from tasks.terraform import state_address


def compare_with_state(environment: str, db: DBInstance) -> tuple[tuple[str, ...], str]:
    """Each setting in which the running instance is not what the state says, and what it was compared with."""
    known = find_attributes(environment, db.id)
    if known is None:
        return (), f"Terraform's state has no RDS instance {db.id}: its settings are those of the running one"
    settings = db.settings
    pairs = {
        "instance_class": settings.instance_class,
        "db_subnet_group_name": settings.subnet_group,
        "vpc_security_group_ids": list(settings.security_groups),
        "parameter_group_name": settings.parameter_group,
        "port": settings.port,
        "storage_type": settings.storage_type,
        "publicly_accessible": settings.publicly_accessible,
        "multi_az": db.multi_az,
        "storage_encrypted": db.encrypted,
    }
    drifted = tuple(
        f"production's {name} is {seen!r}, expected {wanted!r} as in Terraform's state: apply it, or adopt the change"
        for name, seen in pairs.items()
        if (wanted := _plain(known.get(name))) != seen
    )
    return drifted, f"{len(pairs)} settings were compared with Terraform's state"


def find_attributes(environment: str, identifier: str) -> dict[str, Any] | None:
    """What the state says of the instance that it knows by this name."""
    return next((one for one in _instances(environment) if one.get("identifier") == identifier), None)


def find_resource_id(environment: str) -> str | None:
    """Of the one instance that Terraform owns, whatever its name was then."""
    return next((one["resource_id"] for one in _instances(environment)), None)


def _instances(environment: str) -> list[dict[str, Any]]:
    where = state_address(environment)
    try:
        body = s3.find_object(where.bucket, where.key)
    except aws.client("s3").exceptions.NoSuchBucket:
        return []
    return [
        one["attributes"]
        for resource in json.loads(body or '{"resources": []}')["resources"]
        if resource["type"] == "aws_db_instance" and resource["mode"] == "managed"
        for one in resource["instances"]
    ]


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value
