"""What a restored DB instance will be: what it inherits, what AWS chooses where the request is silent, and refusals."""

import datetime
from collections.abc import Mapping
from typing import Any

from moto.ec2.models import ec2_backends
from moto.rds.models import DBSubnetGroup

from lab.extend import AWSError
from lab.rds_backups import AutomatedBackups
from lab.rds_catalog import ENGINE

# All else falls back to AWS's defaults: single-AZ, no deletion protection, the default groups, no managed password.
INHERITED = (
    *("engine", "engine_version", "db_instance_class", "license_model", "auto_minor_version_upgrade", "port"),
    *("allocated_storage", "storage_type", "iops", "storage_throughput", "storage_encrypted", "kms_key_id"),
    *("master_username", "db_name", "ca_certificate_identifier"),
    *("backup_retention_period", "preferred_backup_window", "preferred_maintenance_window"),
)
ABOUT_THE_SOURCE = {
    *("db_snapshot_identifier", "source_db_instance_identifier", "source_dbi_resource_id", "restore_time"),
    *("source_db_instance_automated_backups_arn", "target_db_instance_identifier", "use_latest_restorable_time"),
}


def wanted_instance(backend: Any, source: Any, asked: Mapping[str, Any], tags: list[dict[str, str]]) -> dict[str, Any]:
    """moto's arguments for the new instance, from its source's facts and what the request says over them."""
    said = {name: value for name, value in asked.items() if value is not None and name not in ABOUT_THE_SOURCE}
    _require_possible(source, said)
    facts = {name: getattr(source, name, None) for name in INHERITED}
    inherited = {name: value for name, value in facts.items() if value is not None}
    wanted = inherited | {"master_user_password": source._master_user_password, "tags": tags} | said
    wanted["db_instance_identifier"] = asked.get("target_db_instance_identifier") or asked["db_instance_identifier"]
    _choose_network(backend, wanted)
    return wanted


def _require_possible(source: Any, said: Mapping[str, Any]) -> None:
    if said.get("engine", ENGINE) != ENGINE:
        raise AWSError("InvalidParameterCombination", f"The engine {said['engine']} can't be restored from {ENGINE}.")
    if said.get("db_name"):
        raise AWSError("InvalidParameterValue", "DBName must be null when Restoring for this Engine.")
    if said.get("allocated_storage", source.allocated_storage) < source.allocated_storage:
        raise AWSError(
            "InvalidParameterValue",
            "The allocated storage size can't be less than the source snapshot or backup size.",
        )


def _choose_network(backend: Any, wanted: dict[str, Any]) -> None:
    """The default subnet group, its VPC's default security group, public where the VPC has a way out."""
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    name = wanted.setdefault("db_subnet_group_name", "default")
    if name == "default":
        ensure_default_subnet_group(backend, ec2)
    vpc = backend.describe_db_subnet_groups(name)[0].vpc_id
    wanted["vpc_security_group_ids"] = list(wanted.get("vpc_security_group_ids") or _default_security_groups(ec2, vpc))
    for group in wanted["vpc_security_group_ids"]:
        _require_in_vpc(ec2, group, vpc)
    wanted.setdefault("publicly_accessible", _has_way_out(ec2, vpc))


def ensure_default_subnet_group(backend: Any, ec2: Any) -> None:
    """AWS makes it of the default VPC's subnets when it is first needed."""
    vpc = ec2.get_default_vpc()
    subnets = ec2.describe_subnets(filters={"vpc-id": vpc.id}) if vpc else []
    if not subnets:
        raise AWSError(
            "InvalidVPCNetworkStateFault",
            "No default subnet detected in VPC. Please specify a DBSubnetGroupName, or recreate the default subnets.",
        )
    if "default" not in backend.subnet_groups:
        group = DBSubnetGroup(backend, "default", "default", subnets, [])
        backend.subnet_groups["default"] = group


def _default_security_groups(ec2: Any, vpc: str) -> list[str]:
    group = ec2.get_default_security_group(vpc)
    return [group.id] if group else []


def _require_in_vpc(ec2: Any, name: str, vpc: str) -> None:
    group = ec2.get_security_group_from_id(name)
    if group is None:
        raise AWSError("InvalidParameterValue", f"Invalid security group , groupId= {name}, groupName=.")
    if group.vpc_id != vpc:
        raise AWSError(
            "InvalidParameterCombination",
            f"The DB instance and EC2 security group are in different VPCs. The DB instance is in {vpc} and the EC2 "
            f"security group is in {group.vpc_id}",
        )


def _has_way_out(ec2: Any, vpc: str) -> bool:
    # On AWS the default VPC comes with a gateway; moto's lacks one.
    default = ec2.get_default_vpc()
    attached = {gateway.vpc.id for gateway in ec2.internet_gateways.values() if gateway.vpc}
    return vpc in attached or (default is not None and vpc == default.id)


def require_moment(backups: AutomatedBackups, asked: Mapping[str, Any]) -> datetime.datetime:
    """The moment that a RestoreDBInstanceToPointInTime means, if the backups reach there."""
    moment, use_latest = asked.get("restore_time"), asked.get("use_latest_restorable_time")
    if (moment is None) == (not use_latest):
        raise AWSError(
            "InvalidParameterCombination",
            "Exactly one of RestoreTime and UseLatestRestorableTime must be specified.",
        )
    name, days = backups.db.db_instance_identifier, backups.db.backup_retention_period
    if not backups.exist:
        raise AWSError("PointInTimeRestoreNotEnabled", f"Point in time restore is not enabled for instance {name}")
    if backups.window is None:
        raise AWSError("InvalidDBInstanceState", f"Instance {name} has no restorable time yet: no backup has ended.")
    earliest, latest = backups.window
    wanted = latest if moment is None else _plain(moment)
    refusal = "The specified instance cannot be restored to a time"
    if wanted > latest:
        raise AWSError("InvalidParameterValue", f"{refusal} later than {_aws(latest)}.")
    if wanted < utc_days_ago(days):
        because = f"because its backup retention period is set to {days} days."
        raise AWSError("InvalidParameterValue", f"{refusal} earlier than {_aws(utc_days_ago(days))} {because}")
    if wanted < earliest:
        because = "because its backups were unavailable prior to that time."
        raise AWSError("InvalidParameterValue", f"{refusal} earlier than {_aws(earliest)} {because}")
    return wanted


def utc_days_ago(days: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(days=days)


def _plain(moment: datetime.datetime) -> datetime.datetime:
    return moment.astimezone(datetime.UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _aws(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
