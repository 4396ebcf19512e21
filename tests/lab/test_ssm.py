"""Systems Manager: agents come online, and commands really run on the instances that they mean."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.lab import groups
from tests.lab.groups import eventually
from tests.lab.registry import plain_app, pushed, user_data

AWS = str(Path(sys.executable).with_name("aws"))
QUICK = {"Delay": 0.1, "MaxAttempts": 300}
DONE = ("Success", "Failed", "TimedOut", "Cancelled")


class Account(groups.Account):
    """Three instances of an application, tagged, with their agents online."""

    def __init__(self, lab: dict[str, Any], folder: Path) -> None:
        super().__init__(lab)
        self.ec2, self.ssm, self.home = self.client("ec2"), self.client("ssm"), Path(lab["home"])
        ecr = self.client("ecr")
        ecr.create_repository(repositoryName="app")
        self.client("logs").create_log_group(logGroupName="/app")
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


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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


def test_a_command_sees_a_clean_environment(account: Account) -> None:
    said = account.run("env")["StandardOutputContent"]
    names = {line.partition("=")[0] for line in said.splitlines()}
    expected = {"PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "PWD", "SHLVL", "_", "LANG", "TZ", "LAB_PROCESS_OF"}
    assert {one for one in names if not one.startswith("AWS_")} <= expected
    assert f"AWS_SSM_INSTANCE_ID={account.ids[0]}" in said


def test_paths_of_the_instance_are_its_own(account: Account) -> None:
    tree = account.home / "instances" / account.ids[0] / "tree"
    said = account.run("pwd", "head -1 /var/log/user-data.log", parameters={"workingDirectory": ["/var/log"]})
    directory, line = said["StandardOutputContent"].splitlines()
    assert directory == str(tree / "var" / "log")
    assert "cloud-init: running user data" in line
    account.run("echo kept > /tmp/note")
    assert account.run("cat '/tmp/note'")["StandardOutputContent"] == "kept\n"
    assert (tree / "tmp" / "note").read_text() == "kept\n"
    nowhere = account.run("true", parameters={"workingDirectory": ["/no/such/folder"]})
    assert nowhere["Status"] == "Failed"
    assert "chdir /no/such/folder" in nowhere["StandardErrorContent"]


def test_long_output_is_cut_where_aws_cuts_it(account: Account) -> None:
    command_id = account.send("python3 -c \"print('x' * 30000)\"")
    account.wait(command_id)
    assert account.invocation(command_id)["StandardOutputContent"] == "x" * 24000
    (found,) = account.ssm.list_command_invocations(CommandId=command_id, Details=True)["CommandInvocations"]
    output = found["CommandPlugins"][0]["Output"]
    assert len(output) == 2500
    assert output.endswith("---Output truncated---")


def test_targets_are_the_managed_nodes_that_have_every_tag(account: Account) -> None:
    targets = [{"Key": "tag:Role", "Values": ["web"]}, {"Key": "tag-key", "Values": ["Role"]}]
    sent = account.ssm.send_command(
        DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]}, Targets=targets
    )["Command"]
    assert (sent["Status"], sent["TargetCount"]) == ("Pending", 0), "targets are looked up afterwards"
    done = account.wait(sent["CommandId"])
    assert (done["TargetCount"], done["CompletedCount"], done["ErrorCount"]) == (3, 3, 0)
    assert account.details(sent["CommandId"]) == dict.fromkeys(account.ids, "Success")


def test_a_tag_that_matches_nothing_is_a_success_without_targets(account: Account) -> None:
    done = account.wait(account.send("true", Targets=[{"Key": "tag:Role", "Values": ["nobody"]}]))
    assert (done["Status"], done["StatusDetails"], done["TargetCount"]) == ("Success", "NoInstancesInTag", 0)


def test_max_concurrency_keeps_executions_apart(account: Account) -> None:
    targets = [{"Key": "tag:Role", "Values": ["web"]}]
    command_id = account.send("sleep 0.1", Targets=targets, MaxConcurrency="50%")
    account.wait(command_id)
    found = [account.invocation(command_id, one) for one in account.ids]
    times = sorted((one["ExecutionStartDateTime"], one["ExecutionEndDateTime"]) for one in found)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(times)), times


def test_after_one_error_too_many_the_rest_is_terminated(account: Account) -> None:
    targets = [{"Key": "tag:Role", "Values": ["web"]}]
    command_id = account.send("exit 1", Targets=targets, MaxConcurrency="1", MaxErrors="0")
    done = account.wait(command_id)
    assert sorted(account.details(command_id).values()) == ["Failed", "Terminated", "Terminated"]
    assert (done["Status"], done["ErrorCount"], done["CompletedCount"]) == ("Failed", 1, 3)


def test_errors_within_the_limit_leave_the_command_incomplete(account: Account) -> None:
    targets = [{"Key": "tag:Role", "Values": ["web"]}]
    only_first = f"[ $AWS_SSM_INSTANCE_ID != {account.ids[0]} ]"
    command_id = account.send(only_first, Targets=targets, MaxConcurrency="1", MaxErrors="34%")
    done = account.wait(command_id)
    assert (done["StatusDetails"], done["ErrorCount"]) == ("Incomplete", 1)
    assert account.details(command_id) == {**dict.fromkeys(account.ids, "Success"), account.ids[0]: "Failed"}


def test_a_command_that_runs_too_long_is_ended(account: Account) -> None:
    done = account.run("echo $$", "sleep 60", parameters={"executionTimeout": ["1"]})
    assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("TimedOut", "ExecutionTimedOut", 137)
    assert not is_alive(int(done["StandardOutputContent"]))


def test_a_cancelled_command_ends_with_its_processes(account: Account) -> None:
    command_id = account.send("echo $$", "sleep 60")
    eventually(lambda: account.details(command_id) == {account.ids[0]: "InProgress"})
    running = account.invocation(command_id)
    assert (running["StandardOutputContent"], running["ResponseCode"]) == ("", -1), "told when it has ended"
    account.ssm.cancel_command(CommandId=command_id)
    assert account.wait(command_id)["StatusDetails"] == "Cancelled"
    done = account.invocation(command_id)
    assert done["StatusDetails"] == "Cancelled"
    assert not is_alive(int(done["StandardOutputContent"]))


def test_a_stopped_instance_gets_no_command_in_time(account: Account) -> None:
    instance_id = account.ready("stopped")
    account.ec2.stop_instances(InstanceIds=[instance_id])
    eventually(lambda: account.pings()[instance_id] == "ConnectionLost")
    late = account.send("true", InstanceIds=[instance_id], TimeoutSeconds=30)
    assert account.wait(late)["StatusDetails"] == "DeliveryTimedOut"
    done = account.invocation(late, instance_id)
    assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("TimedOut", "DeliveryTimedOut", -1)
    assert account.command(late)["DeliveryTimedOutCount"] == 1
    lost = account.send("true", InstanceIds=[instance_id])
    eventually(lambda: account.details(lost) == {instance_id: "Delayed"})
    account.terminate(instance_id)
    account.wait(lost)
    found = account.invocation(lost, instance_id)
    assert (found["Status"], found["StatusDetails"]) == ("Failed", "Undeliverable")


def test_a_running_instance_whose_agent_was_stopped_is_lost_until_a_reboot(account: Account) -> None:
    instance_id = account.ready("deaf")
    account.wait(account.send("systemctl stop amazon-ssm-agent", InstanceIds=[instance_id]))
    eventually(lambda: account.pings()[instance_id] == "ConnectionLost")
    waiting = account.send("echo heard", InstanceIds=[instance_id])
    eventually(lambda: account.details(waiting) == {instance_id: "Delayed"})
    account.ec2.reboot_instances(InstanceIds=[instance_id])
    assert account.wait(waiting)["Status"] == "Success"
    assert account.invocation(waiting, instance_id)["StandardOutputContent"] == "heard\n"
    account.terminate(instance_id)


def test_nothing_that_a_command_started_outlives_its_instance(account: Account) -> None:
    instance_id = account.ready("busy")
    command_id = account.send("setsid sleep 60 & echo $!", InstanceIds=[instance_id])
    assert account.wait(command_id)["Status"] == "Success"
    pid = int(account.invocation(command_id, instance_id)["StandardOutputContent"])
    assert is_alive(pid), "what a command leaves in the background goes on"
    unfinished = account.send("sleep 60", InstanceIds=[instance_id])
    eventually(lambda: account.details(unfinished) == {instance_id: "InProgress"})
    account.terminate(instance_id)
    assert not is_alive(pid)
    account.wait(unfinished)
    assert account.details(unfinished) == {instance_id: "Undeliverable"}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"DocumentName": "AWS-NoSuchDocument"}, "InvalidDocument"),
        ({"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceId"),
        ({"InstanceIds": [], "Targets": [{"Key": "InstanceIds", "Values": ["i-12345678"]}]}, "InvalidInstanceId"),
        ({"InstanceIds": ["i-12345678", "i-12345678"]}, "DuplicateInstanceId"),
        ({"InstanceIds": []}, "ValidationException"),
        ({"Parameters": {}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["true"], "shell": ["zsh"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["true"], "executionTimeout": ["soon"]}}, "InvalidParameters"),
        ({"MaxErrors": "many"}, "ValidationException"),
        ({"MaxConcurrency": "0"}, "ValidationException"),
    ],
)
def test_what_cannot_be_sent_is_refused(account: Account, request_: dict[str, Any], code: str) -> None:
    good = {
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": account.ids[:1],
        "Parameters": {"commands": ["true"]},
    }
    assert refusal(account.ssm.send_command, **{**good, **request_}) == code


def test_a_terminated_instance_is_no_target(account: Account) -> None:
    instance_id = account.ready("gone")
    account.terminate(instance_id)
    sent = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    assert refusal(account.ssm.send_command, InstanceIds=[instance_id], **sent) == "InvalidInstanceId"


def test_an_invocation_that_does_not_exist_is_said_to(account: Account) -> None:
    command_id = account.send("true")
    wrong = {"CommandId": command_id, "InstanceId": account.ids[1]}
    assert refusal(account.ssm.get_command_invocation, **wrong) == "InvocationDoesNotExist"
    account.wait(command_id)
    right = {"CommandId": command_id, "InstanceId": account.ids[0]}
    assert refusal(account.ssm.get_command_invocation, PluginName="other", **right) == "InvalidPluginName"
    assert refusal(account.ssm.cancel_command, CommandId=command_id[::-1]) == "InvalidCommandId"


def test_commands_and_instances_can_be_filtered_and_come_in_pages(account: Account) -> None:
    failed, targets = account.send("exit 1"), [{"Key": "InstanceIds", "Values": account.ids}]
    account.wait(failed)
    good = account.send("true", Targets=targets)
    account.wait(good)
    by_status = account.ssm.list_commands(Filters=[{"key": "Status", "value": "Failed"}])["Commands"]
    ids = [one["CommandId"] for one in by_status]
    assert failed in ids
    assert good not in ids
    paginator = account.ssm.get_paginator("list_command_invocations")
    pages = list(paginator.paginate(CommandId=good, PaginationConfig={"PageSize": 2}))
    assert [len(one["CommandInvocations"]) for one in pages] == [2, 1]
    asked = [{"Key": "tag:Role", "Values": ["web"]}, {"Key": "PingStatus", "Values": ["Online"]}]
    found = account.ssm.describe_instance_information(Filters=asked)["InstanceInformationList"]
    assert sorted(one["InstanceId"] for one in found) == account.ids
    wrong = [{"Key": "Colour", "Values": ["red"]}]
    assert refusal(account.ssm.describe_instance_information, Filters=wrong) == "InvalidFilterKey"


def test_the_lines_of_the_runbook_work_with_the_stock_cli(account: Account, lab: dict[str, Any]) -> None:
    group = account.group().create(2)
    account.wait_online(*group.ids())
    environment = {**os.environ, **lab["env"]}

    def cli(*words: str) -> str:
        done = subprocess.run([AWS, "ssm", *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    text = cli(
        "send-command", "--document-name", "AWS-RunShellScript",
        "--targets", f"Key=tag:aws:autoscaling:groupName,Values={group.name}",
        "--parameters", 'commands=["uptime","free -h","df -h"]', "--output", "text",
    )  # fmt: skip
    (command_id,) = set(re.findall(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", text))
    eventually(lambda: account.details(command_id))
    cli("wait", "command-executed", "--command-id", command_id, "--instance-id", group.ids()[0])
    found = json.loads(cli("list-command-invocations", "--command-id", command_id, "--details"))
    invocations = {one["InstanceId"]: one for one in found["CommandInvocations"]}
    assert set(invocations) == set(group.ids())
    output = invocations[group.ids()[0]]["CommandPlugins"][0]["Output"]
    assert [word in output for word in ("load average", "Mem:", "Filesystem")] == [True, True, True]
    group.call("delete_auto_scaling_group", ForceDelete=True)


def test_a_reset_ends_what_still_runs(account: Account, call_tool: Callable[..., Any]) -> None:
    """The last one here: it takes the account away."""
    command_id = account.send("echo $$ > pid", "sleep 60")
    pid_file = account.home / "instances" / account.ids[0] / "tree" / "root" / "pid"
    eventually(lambda: pid_file.exists() and pid_file.read_text())
    pid = int(pid_file.read_text())
    assert is_alive(pid)
    call_tool("POST", "/lab/reset")
    assert not is_alive(pid)
    assert account.ssm.list_commands(CommandId=command_id)["Commands"] == []
