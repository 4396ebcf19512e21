"""Amazon EC2: the machine images that instances run, and the newest that they should."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks import aws
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import probe

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

# The public parameter that Terraform's launch template asks too; a test compares the two.
LATEST_AMI = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


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
