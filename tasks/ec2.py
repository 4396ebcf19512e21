"""Amazon EC2: the machine images that instances run, the newest that they should, and an instance for a while."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tasks import aws
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.residue import as_specifications
from tasks.residue_kinds import RUN_ID
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

# The public parameter that Terraform's launch template asks too; a test compares the two.
LATEST_AMI = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
NO_CAPACITY = "InsufficientInstanceCapacity"
TERMINATED_SECONDS = 900


@dataclass(frozen=True)
class MachineImage:
    id: str
    name: str
    created: datetime

    @property
    def age_days(self) -> int:
        return (datetime.now(UTC) - self.created).days

    def __str__(self) -> str:
        return f"{self.id} ({self.name}, {self.age_days} days old)"


@probe
def find_latest_ami() -> MachineImage:
    """The newest Amazon Linux 2023, as AWS publishes it.

    Raises:
        PreconditionFailed: the published image can't be launched.
    """
    ami_id = str(aws.client("ssm").get_parameter(Name=LATEST_AMI)["Parameter"]["Value"])
    found = _images([ami_id])
    if ami_id not in found:
        raise PreconditionFailed(
            f"{LATEST_AMI} names {ami_id}, which EC2 does not know, expected a launchable image. Nothing was changed."
            " Try again later; AWS may be publishing a new one."
        )
    return found[ami_id]


@probe
def find_amis(instance_ids: tuple[str, ...]) -> dict[str, MachineImage]:
    """What each instance was launched from, also when that image was deregistered meanwhile."""
    used = _amis_of(instance_ids)
    known = _images(sorted(set(used.values())))
    gone = datetime.fromtimestamp(0, UTC)
    return {one: known.get(ami, MachineImage(ami, "deregistered", gone)) for one, ami in used.items()}


@probe
def require_launched_from(instance_ids: tuple[str, ...], ami_id: str) -> None:
    """Every one of these instances really is what its launch template says."""
    if other := {one: ami for one, ami in _amis_of(instance_ids).items() if ami != ami_id}:
        raise VerificationFailed(
            f"{', '.join(f'{one} runs {ami}' for one, ami in sorted(other.items()))}, expected {ami_id}"
        )


@dataclass(frozen=True)
class Launch:
    """One instance as a launch template version makes it, but for its user data, outside of every group.

    `subnets`: where it may be, in the order in which they are tried. `name`: its tag Name, by which a run knows it.
    """

    template_id: str
    template_version: int
    subnets: tuple[str, ...]
    user_data: str
    name: str
    tags: Mapping[str, str]


@action
def run_temporary_instance(launch: Launch) -> str:
    """Launch it where AWS has room; its id.

    Raises:
        PreconditionFailed: none of the subnets has any.
    """
    for subnet in launch.subnets:
        try:
            return _run_instance(launch, subnet)
        except ClientError as error:
            if error.response["Error"]["Code"] != NO_CAPACITY:
                raise
    raise PreconditionFailed(
        f"EC2 has no capacity for {launch.name} in any of {', '.join(launch.subnets) or 'no subnets'}, expected it in"
        " one. Nothing was launched. Try again later"
    )


@action
def terminate_temporary_instances(name: str, run_id: str, known: tuple[str, ...] = ()) -> None:
    """End every instance of this name that the run has launched, and wait until all are gone.

    Args:
        known: ids that the run knows of, for EC2 may not show a new instance by its tags yet.
    """
    mine = [{"Name": "tag:Name", "Values": [name]}, {"Name": f"tag:{RUN_ID}", "Values": [run_id]}]
    found = sorted({one for one, state in _states(mine).items() if state != "terminated"} | set(known))
    if not found:
        return
    _ec2().terminate_instances(InstanceIds=found)
    wait_until(
        f"instances {', '.join(found)}",
        lambda: {one: find_state(one) for one in found},
        lambda states: set(states.values()) <= {"terminated", None},
        timeout_seconds=TERMINATED_SECONDS,
        expected="'terminated'",
    )


@action
def terminate_instances(instance_ids: tuple[str, ...]) -> None:
    """Ask EC2 to end them; one that has ended, or is no longer shown, is fine."""
    if left := [one for one in instance_ids if find_state(one) not in ("shutting-down", "terminated", None)]:
        _ec2().terminate_instances(InstanceIds=left)


def find_state(instance_id: str) -> str | None:
    """None where EC2 does not show it: no longer, or not yet. Asked by filter, which does not mind."""
    return _states([{"Name": "instance-id", "Values": [instance_id]}]).get(instance_id)


def _run_instance(launch: Launch, subnet: str) -> str:
    answer = _ec2().run_instances(
        LaunchTemplate={"LaunchTemplateId": launch.template_id, "Version": str(launch.template_version)},
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        UserData=launch.user_data,
        InstanceInitiatedShutdownBehavior="terminate",
        TagSpecifications=as_specifications({**launch.tags, "Name": launch.name}, "instance", "volume"),
    )
    return answer["Instances"][0]["InstanceId"]


def _states(filters: list[Any]) -> dict[str, str]:
    pages = _ec2().get_paginator("describe_instances").paginate(Filters=filters)
    return {
        instance["InstanceId"]: instance["State"]["Name"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }


def _amis_of(instance_ids: tuple[str, ...]) -> dict[str, str]:
    if not instance_ids:
        return {}
    pages = _ec2().get_paginator("describe_instances").paginate(InstanceIds=list(instance_ids))
    return {
        instance["InstanceId"]: instance["ImageId"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }


def _images(ami_ids: list[str]) -> dict[str, MachineImage]:
    """Those that are still there. Asked by filter: an unknown id among ImageIds fails the whole call."""
    pages = _ec2().get_paginator("describe_images").paginate(Filters=[{"Name": "image-id", "Values": ami_ids}])
    return {
        image["ImageId"]: MachineImage(
            image["ImageId"], image.get("Name", ""), datetime.fromisoformat(image["CreationDate"])
        )
        for page in pages
        for image in page["Images"]
    }


def _ec2() -> "EC2Client":
    client: EC2Client = aws.client("ec2")
    return client
