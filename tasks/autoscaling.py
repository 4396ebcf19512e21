"""Amazon EC2 Auto Scaling: the group and its instances."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks import aws
from tasks.errors import PreconditionFailed, VerificationFailed, WaitTimedOut
from tasks.kinds import probe
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_autoscaling import AutoScalingClient

SETTLE_SECONDS = 300
ON_STANDBY = ("EnteringStandby", "Standby")


@dataclass(frozen=True)
class Instance:
    id: str
    zone: str
    state: str
    health: str
    template_version: int
    protected: bool

    @property
    def serves(self) -> bool:
        return self.state == "InService" and self.health == "Healthy"


@dataclass(frozen=True)
class Group:
    """An Auto Scaling group: what it should be, and what it is."""

    name: str
    min_size: int
    max_size: int
    desired_capacity: int
    template_id: str
    template_version: int
    warmup_seconds: int
    instances: tuple[Instance, ...]

    @property
    def in_service(self) -> tuple[Instance, ...]:
        return tuple(instance for instance in self.instances if instance.serves)


@probe
def find_group(asg_name: str) -> Group | None:
    """The group, or None before Terraform has built it."""
    found = _autoscaling().describe_auto_scaling_groups(AutoScalingGroupNames=[asg_name])["AutoScalingGroups"]
    return describe_group.fn(asg_name) if found else None


@probe
def describe_group(asg_name: str) -> Group:
    found = _autoscaling().describe_auto_scaling_groups(AutoScalingGroupNames=[asg_name])["AutoScalingGroups"]
    if not found:
        raise PreconditionFailed(f"there is no Auto Scaling group {asg_name}, expected one: apply Terraform first")
    group = found[0]
    template = group.get("LaunchTemplate", {})
    version = template.get("Version", "")
    if not version.isdigit():
        raise PreconditionFailed(
            f"Auto Scaling group {asg_name} follows launch template version {version or 'none'!r}, expected a number:"
            " with $Latest or $Default AWS cannot roll back. Apply Terraform, which pins it."
        )
    warmup = group.get("DefaultInstanceWarmup")
    return Group(
        asg_name,
        group["MinSize"],
        group["MaxSize"],
        group["DesiredCapacity"],
        template["LaunchTemplateId"],
        int(version),
        group.get("HealthCheckGracePeriod", 0) if warmup is None else warmup,
        tuple(
            Instance(
                i["InstanceId"],
                i["AvailabilityZone"],
                i["LifecycleState"],
                i["HealthStatus"],
                int(i.get("LaunchTemplate", {}).get("Version", "0")),
                i["ProtectedFromScaleIn"],
            )
            for i in group["Instances"]
        ),
    )


@probe
def find_subnets(asg_name: str) -> tuple[str, ...]:
    """Where the group's instances are launched."""
    (group,) = _autoscaling().describe_auto_scaling_groups(AutoScalingGroupNames=[asg_name])["AutoScalingGroups"]
    return tuple(one for one in group.get("VPCZoneIdentifier", "").replace(" ", "").split(",") if one)


@probe
def settle(asg_name: str) -> Group:
    """The group once it has the instances that it wants: one that is scaling gets there in minutes.

    One that does not is returned as it is; `require_replaceable` says what is wrong with it.
    """
    try:
        return wait_until(
            f"Auto Scaling group {asg_name}",
            lambda: describe_group.fn(asg_name),
            lambda group: len(group.in_service) >= group.desired_capacity,
            timeout_seconds=SETTLE_SECONDS,
            expected="all of its instances in service",
        )
    except WaitTimedOut:
        return describe_group.fn(asg_name)


def require_replaceable(group: Group) -> None:
    """Every instance can be replaced: a protected or standby one would make AWS wait an hour and then fail."""
    protected = [i.id for i in group.instances if i.protected]
    standby = [i.id for i in group.instances if i.state in ON_STANDBY]
    if protected or standby:
        raise PreconditionFailed(
            f"{group.name} has instances protected from scale-in ({', '.join(protected) or 'none'}) and in standby"
            f" ({', '.join(standby) or 'none'}), expected neither. Remove the protection or return them to service."
        )
    if len(group.in_service) < group.desired_capacity:
        raise PreconditionFailed(
            f"{group.name} has {len(group.in_service)} of {group.desired_capacity} instances in service and healthy,"
            " expected all: a rollout on top of a failure hides which of them broke it. Mend the group first."
        )


@probe
def require_all_on_current(group_name: str) -> Group:
    """Every instance is on the version that the group is set to."""
    return require_all_on.fn(group_name, describe_group.fn(group_name).template_version)


@probe
def require_all_on(group_name: str, version: int) -> Group:
    """The group and every one of its instances are on this version, as many as wanted, all in service."""
    group = describe_group.fn(group_name)
    versions = Counter(i.template_version for i in group.instances)
    if group.template_version != version or set(versions) != {version}:
        raise VerificationFailed(
            f"{group_name} is set to version {group.template_version} and runs versions {dict(versions)},"
            f" expected only {version}"
        )
    if len(group.in_service) < group.desired_capacity:
        raise VerificationFailed(
            f"{group_name} has {len(group.in_service)} of {group.desired_capacity} instances in service, expected all"
        )
    return group


def _autoscaling() -> "AutoScalingClient":
    client: AutoScalingClient = aws.client("autoscaling")
    return client
