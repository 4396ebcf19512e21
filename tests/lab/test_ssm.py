"""Systems Manager: agents come online, and commands really run on the instances that they mean."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.alb import eventually, fresh_clients
from tests.lab.registry import AMI_PARAMETER, plain_app, pushed, user_data

QUICK = {"Delay": 0.1, "MaxAttempts": 300}
DONE = ("Success", "Failed", "TimedOut", "Cancelled")


class Account:
    """Three instances of an application, tagged, with their agents online."""

    def __init__(self, lab: dict[str, Any], folder: Path) -> None:
        client = fresh_clients(lab)
        self.ec2, self.ssm, self.home = client("ec2"), client("ssm"), Path(lab["home"])
        ecr = client("ecr")
        ecr.create_repository(repositoryName="app")
        client("logs").create_log_group(logGroupName="/app")
        self.ami = self.ssm.get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
        self.image = pushed(ecr, plain_app(folder), "app", "1", VERSION="1")
        self.ids = sorted(self.launch(user_data(self.image), "web", 3))
        self.wait_online(*self.ids)

    def launch(self, script: str, role: str, count: int = 1) -> list[str]:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Role", "Value": role}]}]
        found = self.ec2.run_instances(
            ImageId=self.ami,
            InstanceType="t3.micro",
            MinCount=count,
            MaxCount=count,
            UserData=script,
            TagSpecifications=tags,
        )
        return [one["InstanceId"] for one in found["Instances"]]

    def ready(self, role: str) -> str:
        """A new instance whose agent is online."""
        (instance_id,) = self.launch("", role)
        self.wait_online(instance_id)
        return instance_id

    def pings(self) -> dict[str, str]:
        found = self.ssm.describe_instance_information()["InstanceInformationList"]
        return {one["InstanceId"]: one["PingStatus"] for one in found}

    def wait_online(self, *ids: str) -> None:
        eventually(lambda: all(self.pings().get(one) == "Online" for one in ids))

    def terminate(self, *ids: str) -> None:
        self.ec2.terminate_instances(InstanceIds=list(ids))
        self.ec2.get_waiter("instance_terminated").wait(InstanceIds=list(ids), WaiterConfig=QUICK)

    def send(self, *lines: str, **settings: Any) -> str:
        """Send a script, to the first instance when no other target is named. Its command id."""
        parameters = {"commands": list(lines), **settings.pop("parameters", {})}
        if "Targets" not in settings:
            settings.setdefault("InstanceIds", self.ids[:1])
        sent = self.ssm.send_command(DocumentName="AWS-RunShellScript", Parameters=parameters, **settings)
        return str(sent["Command"]["CommandId"])

    def command(self, command_id: str) -> dict[str, Any]:
        (found,) = self.ssm.list_commands(CommandId=command_id)["Commands"]
        return dict(found)

    def invocation(self, command_id: str, instance_id: str | None = None) -> dict[str, Any]:
        asked = {"CommandId": command_id, "InstanceId": instance_id or self.ids[0]}
        return dict(self.ssm.get_command_invocation(**asked))

    def details(self, command_id: str) -> dict[str, str]:
        found = self.ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"]
        return {one["InstanceId"]: one["StatusDetails"] for one in found}

    def wait(self, command_id: str) -> dict[str, Any]:
        eventually(lambda: self.command(command_id)["Status"] in DONE)
        return self.command(command_id)

    def run(self, *lines: str, **settings: Any) -> dict[str, Any]:
        command_id = self.send(*lines, **settings)
        self.wait(command_id)
        return self.invocation(command_id)


@pytest.fixture(scope="module")
def account(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Account:
    return Account(lab, tmp_path_factory.mktemp("applications"))


def refusal(call: Callable[..., Any], **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def pid_in(text: str) -> int:
    return int(text.split(maxsplit=1)[0])


def test_an_instance_is_managed_a_while_after_it_runs_and_until_it_ends(account: Account) -> None:
    (instance_id,) = account.launch("", "short")
    account.ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id], WaiterConfig=QUICK)
    assert instance_id not in account.pings()
    account.wait_online(instance_id)
    (found,) = account.ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [instance_id]}])[
        "InstanceInformationList"
    ]
    assert (found["PlatformName"], found["PlatformType"], found["ResourceType"]) == (
        "Amazon Linux",
        "Linux",
        "EC2Instance",
    )
    account.terminate(instance_id)
    assert instance_id not in account.pings()


def test_a_command_runs_on_its_instance_and_leaves_output_and_exit_code(account: Account) -> None:
    good = account.run("echo to stdout", "echo to stderr >&2", "pwd", "echo $HOME")
    home = account.home / "instances" / account.ids[0] / "tree" / "root"
    assert good["StandardOutputContent"].splitlines() == ["to stdout", str(home), str(home)]
    assert good["StandardErrorContent"] == "to stderr\n"
    assert (good["Status"], good["StatusDetails"], good["ResponseCode"]) == ("Success", "Success", 0)
    assert good["ExecutionStartDateTime"].endswith("Z")
    bad = account.run("echo before", "exit 3")
    assert (bad["Status"], bad["ResponseCode"]) == ("Failed", 3)
    assert bad["StandardOutputContent"] == "before\n"
    assert bad["StandardErrorContent"] == "failed to run commands: exit status 3"


def test_curl_to_localhost_reaches_the_instances_own_container(account: Account) -> None:
    targets = [{"Key": "InstanceIds", "Values": account.ids}]
    command_id = account.send("curl -fsS -m 5 http://localhost:5000/instance", Targets=targets)
    assert account.wait(command_id)["Status"] == "Success"
    said = {one: account.invocation(command_id, one)["StandardOutputContent"] for one in account.ids}
    assert said == {one: one for one in account.ids}


def test_docker_tells_of_the_container(account: Account) -> None:
    said = account.run("docker ps", "docker logs --tail 1 app", "docker logs other", "true")
    assert account.image in said["StandardOutputContent"]
    assert "Up " in said["StandardOutputContent"]
    assert "serving 1" in said["StandardOutputContent"]
    assert "No such container: other" in said["StandardErrorContent"]
