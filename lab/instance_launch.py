"""Launches of an Auto Scaling group: which template version, which Availability Zone, and what EC2 refuses."""

from collections import Counter
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState
from moto.core.exceptions import ServiceException
from moto.core.types import Base64EncodedString
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.utils import parse_user_data

from lab.amis import resolve
from lab.auto_scaling_group import counted, enter, place
from lab.extend import AWSError
from lab.faults import Faults
from lab.scaling_activities import record

FIRST_RETRY_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 900.0
# What EC2 says to a launch whoever asks. A planned fault with another code is between EC2 and its own callers.
NO_CAPACITY = "InsufficientInstanceCapacity"
LAUNCH_REFUSALS = (NO_CAPACITY, "InstanceLimitExceeded", "VcpuLimitExceeded")


def launch(group: Any, now: float, cause: str, faults: Faults) -> bool:
    """Launch one instance, in the Availability Zone that has the fewest. False when EC2 refuses."""
    subnet_id, zone = _where(group)
    try:
        _require_capacity(group, zone, faults)
        instance, launched_from = _run_instance(group, subnet_id, zone)
    except ServiceException as error:
        _note_failure(group, now, cause, f"{error.message} Launching EC2 instance failed.")
        return False
    instance.autoscaling_group = group
    state = InstanceState(instance, "Pending", protected_from_scale_in=group.new_instances_protected_from_scale_in)
    state.launched_from, state.launched_at = launched_from, now
    enter(state, "Pending", now)
    group.instance_states.append(state)
    state.activity = record(group, f"Launching a new EC2 instance: {instance.id}", cause, **place(state))
    state.activity.move_to("PreInService", 30)
    group.facts.launch_failures = 0
    return True


def _require_capacity(group: Any, zone: str, faults: Faults) -> None:
    fault = faults.take("ec2:RunInstances", lambda one: one.kind == "error" and one.code in LAUNCH_REFUSALS)
    if fault is None:
        return
    if fault.code != NO_CAPACITY:
        raise AWSError(fault.code, fault.message)
    kind = _instance_type(group)
    others = ", ".join(one.name for one in group.ec2_backend.describe_availability_zones() if one.name != zone)
    raise AWSError(
        fault.code,
        f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone}). Our "
        f"system will be working on provisioning additional capacity. You can currently get {kind} capacity by not "
        f"specifying an Availability Zone in your request or choosing {others}.",
    )


def _instance_type(group: Any) -> str:
    if group.ec2_launch_template is None and group.facts.rollout is None:
        return str(group.launch_config.instance_type)
    return str(template_version(group).data.get("InstanceType"))


def _note_failure(group: Any, now: float, cause: str, message: str) -> None:
    words = f"Launching a new EC2 instance.  Status Reason: {message}"
    record(group, words, cause).end(now, "Failed", message)
    back_off(group, now)


def back_off(group: Any, now: float) -> None:
    """Try again after a while that grows with each failure in a row."""
    facts = group.facts
    facts.next_launch_at = now + min(FIRST_RETRY_SECONDS * 2**facts.launch_failures, LONGEST_RETRY_SECONDS)
    facts.launch_failures += 1


def _where(group: Any) -> tuple[str | None, str]:
    taken = counted(group)
    zones = Counter(state.availability_zone for state in taken)
    if not group.vpc_zone_identifier:
        return None, str(min(group.availability_zones, key=lambda zone: zones[zone]))
    subnets = Counter(state.instance.subnet_id for state in taken)
    ids = group.vpc_zone_identifier.replace(" ", "").split(",")
    found = [group.ec2_backend.get_subnet(one) for one in ids]
    best = min(found, key=lambda one: (zones[one.availability_zone], subnets[one.id]))
    return best.id, best.availability_zone


def template_version(group: Any) -> Any:
    """moto's launch template version that is launched from now: what a refresh rolls out, or the group's own."""
    if group.facts.rollout:
        return find_version(group.ec2_backend, group.facts.rollout)
    own = {"LaunchTemplateId": group.ec2_launch_template.id, "Version": group.launch_template_version}
    return find_version(group.ec2_backend, own)


def find_version(backend: Any, wanted: dict[str, Any]) -> Any:
    """moto's launch template version for a LaunchTemplateSpecification."""
    if wanted.get("LaunchTemplateId"):
        found = backend.get_launch_template(wanted["LaunchTemplateId"])
    else:
        found = backend.get_launch_template_by_name(wanted["LaunchTemplateName"])
    return found.get_version(wanted.get("Version") or "$Default")


def describe_version(version: Any) -> dict[str, str]:
    template = version.template
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Version": str(version.number),
    }


def _run_instance(group: Any, subnet_id: str | None, zone: str) -> tuple[Any, dict[str, str] | None]:
    tags = {**group.get_propagated_tags(), ASG_NAME_TAG: group.name}
    common = {"subnet_id": subnet_id, "placement": zone, "region_name": group.region, "is_instance_type_default": False}
    if group.ec2_launch_template is None and group.facts.rollout is None:
        return _run_from_configuration(group, tags, common), None
    version = template_version(group)
    data = version.data
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    image_id = require_image(group.ec2_backend, data.get("ImageId"))
    reservation = group.ec2_backend.run_instances(
        image_id,
        1,
        _user_data(data),
        data.get("SecurityGroups") or [],
        instance_type=require_instance_type(data.get("InstanceType")),
        security_group_ids=data.get("SecurityGroupIds") or interface.get("Groups") or [],
        key_name=data.get("KeyName"),
        associate_public_ip=interface.get("AssociatePublicIpAddress"),
        ebs_optimized=data.get("EbsOptimized", False),
        monitoring_state="enabled" if (data.get("Monitoring") or {}).get("Enabled") else "disabled",
        metadata_options=data.get("MetadataOptions") or {},
        launch_template={"LaunchTemplateId": version.template.id, "Version": str(version.number)},
        tags={"instance": tags},
        **common,
    )
    return reservation.instances[0], describe_version(version)


def _run_from_configuration(group: Any, tags: dict[str, str], common: dict[str, Any]) -> Any:
    configuration = group.launch_config
    reservation = group.ec2_backend.run_instances(
        require_image(group.ec2_backend, configuration.image_id),
        1,
        configuration.user_data,
        configuration.security_groups,
        instance_type=require_instance_type(configuration.instance_type),
        associate_public_ip=configuration.associate_public_ip_address,
        launch_config=configuration,
        tags={"instance": tags},
        **common,
    )
    return reservation.instances[0]


def _user_data(data: dict[str, Any]) -> Any:
    text = data.get("UserData")
    return text if text is None or isinstance(text, Base64EncodedString) else parse_user_data(text)


def require_image(backend: Any, image_id: str | None) -> str:
    image_id = resolve(backend, image_id)
    if not image_id or image_id not in backend.amis:
        raise AWSError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist.")
    return image_id


def require_instance_type(instance_type: str | None) -> str:
    if instance_type not in INSTANCE_TYPES:
        raise AWSError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    return str(instance_type)
