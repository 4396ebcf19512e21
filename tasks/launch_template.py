"""EC2 launch templates: which image each version runs, and a new version that differs in nothing else."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tasks import aws
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import LaunchTemplateVersionTypeDef

IMAGE_IN_USER_DATA = re.compile(rf"[\w.:/-]+/{re.escape(PROJECT)}@sha256:[0-9a-f]{{64}}")
# The description carries what an undo needs, so that a run which resumes elsewhere knows it too.
DESCRIPTION = re.compile(r"release (?P<digest>sha256:[0-9a-f]{64}) instead of version (?P<previous>\d+)")


@dataclass(frozen=True)
class TemplateVersion:
    """One version of a launch template, the image that it runs, and the version that it was made to replace."""

    template_id: str
    number: int
    image: str
    created: datetime
    previous: int | None

    def __str__(self) -> str:
        return f"{self.template_id} version {self.number}"


@probe
def describe_version(template_id: str, number: int) -> TemplateVersion:
    return _read(_fetch(template_id, str(number)))


@probe
def find_attempt(current: TemplateVersion, image: str) -> TemplateVersion | None:
    """The version that a deployment of this image on top of `current` made, and neither finished nor undid."""
    for version in reversed(_versions(current.template_id)):
        found = DESCRIPTION.fullmatch(version.get("VersionDescription", ""))
        if found and image.endswith(found["digest"]) and version["VersionNumber"] > current.number:
            return _read(version)
    return None


@action
def create_version(current: TemplateVersion, image: str) -> TemplateVersion:
    """A version like `current` that runs `image`; the one that a killed attempt made is used again."""
    if made := find_attempt.fn(current, image):
        return made
    user_data = _user_data(_fetch(current.template_id, str(current.number)))
    digest = image.rpartition("@")[2]
    created = _ec2().create_launch_template_version(
        LaunchTemplateId=current.template_id,
        SourceVersion=str(current.number),
        VersionDescription=f"release {digest} instead of version {current.number}",
        LaunchTemplateData={"UserData": b64encode(user_data.replace(current.image, image).encode()).decode()},
    )
    return _read(created["LaunchTemplateVersion"])


@action
def delete_version(version: TemplateVersion) -> None:
    """Leave no failed release behind: Terraform compares its code with the newest version."""
    if any(v["VersionNumber"] == version.number for v in _versions(version.template_id)):
        _ec2().delete_launch_template_versions(LaunchTemplateId=version.template_id, Versions=[str(version.number)])


def _ec2() -> "EC2Client":
    client: EC2Client = aws.client("ec2")
    return client


def _versions(template_id: str) -> list["LaunchTemplateVersionTypeDef"]:
    pages = _ec2().get_paginator("describe_launch_template_versions").paginate(LaunchTemplateId=template_id)
    found = [version for page in pages for version in page["LaunchTemplateVersions"]]
    return sorted(found, key=lambda version: version["VersionNumber"])


def _fetch(template_id: str, number: str) -> "LaunchTemplateVersionTypeDef":
    answer = _ec2().describe_launch_template_versions(LaunchTemplateId=template_id, Versions=[number])
    (version,) = answer["LaunchTemplateVersions"]
    return version


def _user_data(version: "LaunchTemplateVersionTypeDef") -> str:
    return b64decode(version["LaunchTemplateData"].get("UserData", "")).decode()


def _read(version: "LaunchTemplateVersionTypeDef") -> TemplateVersion:
    template_id, number = version["LaunchTemplateId"], version["VersionNumber"]
    images = set(IMAGE_IN_USER_DATA.findall(_user_data(version)))
    if len(images) != 1:
        raise PreconditionFailed(
            f"the user data of launch template {template_id} version {number} names {len(images)} images of {PROJECT}"
            " by digest, expected exactly one. Apply Terraform: python -m flows.deploy_infrastructure"
        )
    found = DESCRIPTION.fullmatch(version.get("VersionDescription", ""))
    return TemplateVersion(
        template_id, number, images.pop(), version["CreateTime"], int(found["previous"]) if found else None
    )
