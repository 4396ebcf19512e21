"""Launch templates: versions inherit, keep their numbers, and are made once however often the call is sent."""

import base64
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.alb import fresh_clients

OLD, NEW = (base64.b64encode(text).decode() for text in (b"#!/bin/bash\necho old\n", b"#!/bin/bash\necho new\n"))
DATA = {
    "ImageId": "ami-01e082ac2f79f3918",
    "InstanceType": "t3.micro",
    "UserData": OLD,
    "BlockDeviceMappings": [
        {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-0123456789abcdef0", "VolumeSize": 20}}
    ],
    "TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "disk"}]}],
}


@pytest.fixture(scope="module")
def clients(lab: dict[str, Any]) -> Callable[..., Any]:
    return fresh_clients(lab)


class Template:
    def __init__(self, ec2: Any, **settings: Any) -> None:
        self.ec2, self.name = ec2, f"template-{uuid.uuid4().hex[:8]}"
        created = ec2.create_launch_template(LaunchTemplateName=self.name, LaunchTemplateData=DATA, **settings)
        self.id = created["LaunchTemplate"]["LaunchTemplateId"]

    def add(self, source: str | None = None, **data: Any) -> dict[str, Any]:
        settings = {"SourceVersion": source} if source else {}
        created = self.ec2.create_launch_template_version(
            LaunchTemplateId=self.id, LaunchTemplateData=data or {"InstanceType": "t3.small"}, **settings
        )
        return dict(created["LaunchTemplateVersion"])

    def delete(self, *versions: str) -> dict[str, Any]:
        return dict(self.ec2.delete_launch_template_versions(LaunchTemplateId=self.id, Versions=list(versions)))

    def numbers(self, **settings: Any) -> list[int]:
        found = self.ec2.describe_launch_template_versions(LaunchTemplateId=self.id, **settings)
        return [one["VersionNumber"] for one in found["LaunchTemplateVersions"]]

    def describe(self) -> dict[str, Any]:
        return dict(self.ec2.describe_launch_templates(LaunchTemplateIds=[self.id])["LaunchTemplates"][0])


@pytest.fixture
def template(clients: Callable[..., Any]) -> Template:
    return Template(clients("ec2"))


def refused(call: Callable[..., Any], **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def machines(template: Template) -> set[str]:
    found = template.ec2.describe_instances()["Reservations"]
    return {machine["InstanceId"] for reservation in found for machine in reservation["Instances"]}


def test_a_version_inherits_all_of_its_source_but_what_it_says_itself_and_snapshots(template: Template) -> None:
    data = template.add("1", UserData=NEW)["LaunchTemplateData"]
    assert (data["UserData"], data["InstanceType"], data["ImageId"]) == (NEW, "t3.micro", DATA["ImageId"])
    assert data["BlockDeviceMappings"][0]["Ebs"] == {"VolumeSize": 20}
    assert template.add("$Latest", InstanceType="t3.large")["LaunchTemplateData"]["UserData"] == NEW
    assert "UserData" not in template.add(InstanceType="t3.large")["LaunchTemplateData"]


def test_an_instance_can_be_launched_from_a_second_version(template: Template) -> None:
    template.add("1", UserData=NEW)
    launched = template.ec2.run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateId": template.id, "Version": "2"}
    )["Instances"][0]
    asked = {"InstanceId": launched["InstanceId"], "Attribute": "userData"}
    assert template.ec2.describe_instance_attribute(**asked)["UserData"]["Value"] == NEW
    volumes = template.ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [launched["InstanceId"]]}]
    )["Volumes"]
    assert [one["Tags"] for one in volumes] == [[{"Key": "Name", "Value": "disk"}]]


def test_what_a_launch_says_itself_wins_over_its_template_and_the_rest_is_the_templates(
    clients: Callable[..., Any],
) -> None:
    ec2 = clients("ec2")
    clients("iam").create_instance_profile(InstanceProfileName="machine")
    subnet, other = ec2.describe_subnets()["Subnets"][:2]
    group = ec2.create_security_group(GroupName="machine", Description="theirs", VpcId=subnet["VpcId"])["GroupId"]
    mine = {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "theirs"}, {"Key": "team", "Value": "a"}]}
    template = Template(ec2)
    template.add(
        "1",
        IamInstanceProfile={"Name": "machine"},
        SecurityGroupIds=[group],
        EbsOptimized=True,
        InstanceInitiatedShutdownBehavior="terminate",
        TagSpecifications=[mine],
    )
    asked = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": template.id, "Version": "2"}}
    ours = {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "ours"}]}
    launched = ec2.run_instances(
        **asked, UserData="#!/bin/bash\necho ours\n", SubnetId=other["SubnetId"], TagSpecifications=[ours]
    )["Instances"][0]
    (found,) = ec2.describe_instances(InstanceIds=[launched["InstanceId"]])["Reservations"][0]["Instances"]
    assert (found["SubnetId"], found["InstanceType"], found["EbsOptimized"]) == (other["SubnetId"], "t3.micro", True)
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [group]
    assert found["IamInstanceProfile"]["Arn"].endswith("/machine")
    tags = {one["Key"]: one["Value"] for one in found["Tags"] if not one["Key"].startswith("aws:")}
    assert tags == {"Name": "ours", "team": "a"}

    def attribute(name: str) -> str:
        answer = ec2.describe_instance_attribute(InstanceId=launched["InstanceId"], Attribute=name)
        return str(answer[f"{name[0].upper()}{name[1:]}"]["Value"])

    assert base64.b64decode(attribute("userData")) == b"#!/bin/bash\necho ours\n"
    assert attribute("instanceInitiatedShutdownBehavior") == "terminate"


def test_a_launch_with_an_instance_profile_that_is_not_there_launches_nothing(template: Template) -> None:
    template.add("1", IamInstanceProfile={"Name": "nobody"})
    asked = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": template.id, "Version": "2"}}
    before = machines(template)
    with pytest.raises(ClientError):
        template.ec2.run_instances(**asked)
    assert machines(template) <= before


def test_the_tags_of_the_template_are_not_part_of_what_is_launched(clients: Callable[..., Any]) -> None:
    tags = [{"Key": "team", "Value": "founders"}]
    tagged = Template(clients("ec2"), TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}])
    assert tagged.describe()["Tags"] == tags
    found = tagged.ec2.describe_launch_template_versions(LaunchTemplateId=tagged.id, Versions=["1"])
    data = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["TagSpecifications"] == DATA["TagSpecifications"]


def test_a_deleted_number_is_never_given_again(template: Template) -> None:
    template.add()
    template.add()
    deleted = template.delete("3")["SuccessfullyDeletedLaunchTemplateVersions"]
    assert [one["VersionNumber"] for one in deleted] == [3]
    assert (template.describe()["LatestVersionNumber"], template.numbers()) == (2, [2, 1])
    assert template.numbers(Versions=["$Latest"]) == [2]
    assert template.add()["VersionNumber"] == 4
    assert refused(template.numbers, Versions=["3"]) == "InvalidLaunchTemplateId.VersionNotFound"


def test_the_default_version_is_deleted_only_when_another_is_the_default(template: Template) -> None:
    template.add()
    answer = template.delete("1", "7")
    codes = [one["ResponseError"]["Code"] for one in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]]
    assert codes == ["unexpectedError", "launchTemplateVersionDoesNotExist"]
    template.ec2.modify_launch_template(LaunchTemplateId=template.id, DefaultVersion="2")
    assert template.describe()["DefaultVersionNumber"] == 2
    template.delete("1")
    assert template.numbers(Versions=["$Default"]) == template.numbers() == [2]


def test_a_version_number_that_is_not_there_cannot_become_the_default(template: Template) -> None:
    for number in ("9", "nine"):
        asked = {"LaunchTemplateId": template.id, "DefaultVersion": number}
        assert refused(template.ec2.modify_launch_template, **asked) == "InvalidLaunchTemplateId.VersionNotFound"


def test_a_call_that_is_sent_twice_makes_one_version(template: Template) -> None:
    asked = {"LaunchTemplateId": template.id, "ClientToken": uuid.uuid4().hex}
    create = template.ec2.create_launch_template_version
    first, second = (create(**asked, LaunchTemplateData={"InstanceType": "t3.small"}) for _ in range(2))
    assert first["LaunchTemplateVersion"] == second["LaunchTemplateVersion"]
    assert template.numbers() == [2, 1]
    other = {"LaunchTemplateData": {"InstanceType": "t3.large"}}
    assert refused(create, **asked, **other) == "IdempotentParameterMismatch"


def test_a_description_has_at_most_255_characters(template: Template) -> None:
    asked = {"LaunchTemplateId": template.id, "LaunchTemplateData": {"InstanceType": "t3.small"}}
    create = template.ec2.create_launch_template_version
    assert refused(create, **asked, VersionDescription="x" * 256) == "InvalidParameterValue"
    made = create(**asked, VersionDescription="x" * 255)["LaunchTemplateVersion"]
    assert made["VersionDescription"] == "x" * 255


def test_many_versions_come_in_pages(template: Template) -> None:
    for _ in range(20):
        template.add()
    assert template.numbers() == list(range(21, 0, -1))
    pages = template.ec2.get_paginator("describe_launch_template_versions").paginate(
        LaunchTemplateId=template.id, PaginationConfig={"PageSize": 8}
    )
    assert [len(page["LaunchTemplateVersions"]) for page in pages] == [8, 8, 5]


def test_a_template_that_is_not_there_is_not_found(template: Template) -> None:
    describe = template.ec2.describe_launch_templates
    assert refused(describe, LaunchTemplateIds=["lt-0123456789abcdef0"]) == "InvalidLaunchTemplateId.NotFound"
    assert refused(describe, LaunchTemplateNames=["nothing"]) == "InvalidLaunchTemplateName.NotFoundException"
    delete = template.ec2.delete_launch_template
    assert refused(delete, LaunchTemplateName="nothing") == "InvalidLaunchTemplateName.NotFoundException"
