"""EC2 launch templates: what the instances of each version are made of, and a new version that differs in just that."""

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
DESCRIPTION = re.compile(
    r"(?P<made_of>sha256:[0-9a-f]{64} on ami-[0-9a-f]+(?: for (?P<request>[\w.-]+))?)"
    r" instead of version (?P<previous>\d+)"
)


@dataclass(frozen=True)
class Configuration:
    """What an instance is made of: the application's image by digest, and the machine's.

    `request` tells two replacements by the same configuration apart.
    """

    image: str
    ami_id: str
    request: str = ""

    @property
    def digest(self) -> str:
        return self.image.rpartition("@")[2]

    def __str__(self) -> str:
        return f"{self.digest} on {self.ami_id}" + (f" for {self.request}" if self.request else "")


@dataclass(frozen=True)
class TemplateVersion:
    """One version of a launch template, and the version that it was made to replace."""

    template_id: str
    number: int
    configuration: Configuration
    created: datetime
    previous: int | None

    def __str__(self) -> str:
        return f"{self.template_id} version {self.number}"

    @property
    def image(self) -> str:
        return self.configuration.image

    def is_made_of(self, wanted: Configuration) -> bool:
        mine = self.configuration
        same = (mine.image, mine.ami_id) == (wanted.image, wanted.ami_id)
        return same and wanted.request in ("", mine.request)


@probe
def describe_version(template_id: str, number: int) -> TemplateVersion:
    return _read(_fetch(template_id, str(number)))


@probe
def read_user_data(template_id: str, number: int) -> str:
    return _user_data(_fetch(template_id, str(number)))


@probe
def find_versions_above(current: TemplateVersion) -> tuple[TemplateVersion, ...]:
    """What was made after `current`: attempts that are under way, or that nobody cleaned up."""
    return tuple(_read(one) for one in _versions(current.template_id) if one["VersionNumber"] > current.number)


@probe
def find_attempt(current: TemplateVersion, wanted: Configuration) -> TemplateVersion | None:
    """The version that a change to `wanted` on top of `current` made, and neither finished nor undid."""
    for version in reversed(_versions(current.template_id)):
        found = DESCRIPTION.fullmatch(version.get("VersionDescription", ""))
        if found and found["made_of"] == str(wanted) and version["VersionNumber"] > current.number:
            return _read(version)
    return None


@action
def create_version(current: TemplateVersion, wanted: Configuration) -> TemplateVersion:
    """A version like `current` but made of `wanted`; the one that a killed attempt made is used again."""
    if made := find_attempt.fn(current, wanted):
        return made
    user_data = _user_data(_fetch(current.template_id, str(current.number))).replace(current.image, wanted.image)
    created = _ec2().create_launch_template_version(
        LaunchTemplateId=current.template_id,
        SourceVersion=str(current.number),
        VersionDescription=f"{wanted} instead of version {current.number}",
        LaunchTemplateData={"UserData": b64encode(user_data.encode()).decode(), "ImageId": wanted.ami_id},
    )
    return _read(created["LaunchTemplateVersion"])


@action
def delete_version(version: TemplateVersion) -> None:
    """Leave no failed change behind: Terraform compares its code with the newest version."""
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
    ami_id = version["LaunchTemplateData"].get("ImageId", "")
    configuration = Configuration(images.pop(), ami_id, (found and found["request"]) or "")
    previous = int(found["previous"]) if found else None
    return TemplateVersion(template_id, number, configuration, version["CreateTime"], previous)
