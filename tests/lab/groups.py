"""What the Auto Scaling tests share: a launch template, a group, and waiting for what it becomes."""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from tests.lab.alb import fresh_clients

AMI_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
PATIENCE_SECONDS = 20.0


class Account:
    """What all groups of a test module share: an account that was emptied once, as that takes moto seconds."""

    def __init__(self, lab: dict[str, Any]) -> None:
        self.client = fresh_clients(lab)
        self.ami = self.client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
        subnets = self.client("ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
        self.subnets = [one["SubnetId"] for one in subnets["Subnets"]]
        self._names = (f"app-{number}" for number in itertools.count(1))

    def group(self) -> "Group":
        return Group(self, next(self._names))


class Group:
    """An Auto Scaling group and the launch template of its name, and questions about them."""

    def __init__(self, account: Account, name: str) -> None:
        self.autoscaling, self.ec2, self.name = account.client("autoscaling"), account.client("ec2"), name
        self.ami, self.subnets = account.ami, account.subnets
        found = self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=self.data())
        self.template = found["LaunchTemplate"]["LaunchTemplateId"]

    def data(self, **changes: Any) -> dict[str, Any]:
        return {"ImageId": self.ami, "InstanceType": "t3.micro", **changes}

    def new_version(self, **changes: Any) -> str:
        found = self.ec2.create_launch_template_version(
            LaunchTemplateId=self.template, LaunchTemplateData=self.data(**changes)
        )
        return str(found["LaunchTemplateVersion"]["VersionNumber"])

    def version(self, number: str) -> dict[str, str]:
        return {"LaunchTemplateId": self.template, "Version": number}

    def create(self, desired: int, low: int = 0, high: int = 20, version: str = "1", **settings: Any) -> "Group":
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=self.name,
            MinSize=low,
            MaxSize=high,
            DesiredCapacity=desired,
            LaunchTemplate=self.version(version),
            VPCZoneIdentifier=",".join(self.subnets),
            **settings,
        )
        self.wait_in_service(desired)
        return self

    def call(self, operation: str, **parameters: Any) -> Any:
        """One of the operations that take the name of the group."""
        return getattr(self.autoscaling, operation)(AutoScalingGroupName=self.name, **parameters)

    def describe(self) -> dict[str, Any]:
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        description: dict[str, Any] = found["AutoScalingGroups"][0]
        return description

    def exists(self) -> bool:
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        return bool(found["AutoScalingGroups"])

    def instances(self, lifecycle_state: str | None = None) -> list[dict[str, Any]]:
        found = self.describe()["Instances"]
        return [one for one in found if lifecycle_state in (None, one["LifecycleState"])]

    def ids(self, lifecycle_state: str | None = None) -> list[str]:
        return [one["InstanceId"] for one in self.instances(lifecycle_state)]

    def versions(self) -> list[str]:
        return sorted(one["LaunchTemplate"]["Version"] for one in self.instances("InService"))

    def activities(self, **parameters: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("describe_scaling_activities", **parameters)["Activities"]
        return found

    def wait_in_service(self, count: int) -> None:
        """Until exactly `count` instances are there, all of them in service."""
        eventually(lambda: [one["LifecycleState"] for one in self.instances()] == ["InService"] * count)

    def refresh(self, version: str | None = None, **preferences: Any) -> str:
        parameters: dict[str, Any] = {"Preferences": {"InstanceWarmup": 10, **preferences}}
        if version:
            parameters["DesiredConfiguration"] = {"LaunchTemplate": self.version(version)}
        identifier: str = self.call("start_instance_refresh", **parameters)["InstanceRefreshId"]
        return identifier

    def latest_refresh(self) -> dict[str, Any]:
        found: dict[str, Any] = self.call("describe_instance_refreshes")["InstanceRefreshes"][0]
        return found

    def wait_refresh(self, *statuses: str) -> dict[str, Any]:
        eventually(lambda: self.latest_refresh()["Status"] in statuses, self._explain_refresh)
        return self.latest_refresh()

    def _explain_refresh(self) -> str:
        return json.dumps([self.latest_refresh(), self.instances(), self.activities()], default=str, indent=1)


def eventually(
    condition: Callable[[], Any], explain: Callable[[], Any] = lambda: "never true", patience: float = PATIENCE_SECONDS
) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)
