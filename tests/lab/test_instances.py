"""EC2 instances run the image that their user data names, on an address of their own, until they are terminated."""

import os
import signal
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from botocore.exceptions import ClientError

from tests.lab.alb import eventually, fresh_clients
from tests.lab.registry import AMI_PARAMETER, plain_app, pushed, user_data, wsgi_app
from tests.running import running_lab

QUICK = {"Delay": 0.1, "MaxAttempts": 200}  # type: ignore[var-annotated]
REPOSITORY = "demo-flask-app"
GROUP = "/app"


class Account:
    """An account with a log group, a repository with two images, and instances of them."""

    def __init__(self, lab: dict[str, Any], folder: Path) -> None:
        self.client = fresh_clients(lab)
        self.ec2, self.logs = self.client("ec2"), self.client("logs")
        ecr = self.client("ecr")
        ecr.create_repository(repositoryName=REPOSITORY)
        self.logs.create_log_group(logGroupName=GROUP)
        self.ami = self.client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
        self.plain = pushed(ecr, plain_app(folder / "plain"), REPOSITORY, "1.0.0", VERSION="1.0.0")
        self.crashing = pushed(ecr, folder / "plain", REPOSITORY, "crashing", "worker")
        self.wsgi = pushed(ecr, wsgi_app(folder / "wsgi"), REPOSITORY, "wsgi", None)

    def launch(self, script: str | None, **settings: Any) -> "Instance":
        if script is not None:
            settings["UserData"] = script
        launched = self.ec2.run_instances(
            ImageId=self.ami, InstanceType="t3.micro", MinCount=1, MaxCount=1, **settings
        )["Instances"][0]
        assert launched["State"]["Name"] == "pending"
        return Instance(self, launched["InstanceId"])

    def run(self, script: str | None, **settings: Any) -> "Instance":
        instance = self.launch(script, **settings)
        instance.wait("instance_running")
        return instance


class Instance:
    def __init__(self, account: Account, instance_id: str) -> None:
        self.account, self.ec2, self.id = account, account.ec2, instance_id

    def wait(self, waiter: str) -> None:
        self.ec2.get_waiter(waiter).wait(InstanceIds=[self.id], WaiterConfig=QUICK)

    def describe(self) -> dict[str, Any]:
        found = self.ec2.describe_instances(InstanceIds=[self.id])["Reservations"][0]["Instances"][0]
        return dict(found)

    @property
    def address(self) -> str:
        return str(self.describe()["PrivateIpAddress"])

    def get(self, path: str, port: int = 5000) -> str | None:
        """What the application answers, or None when nothing listens."""
        try:
            return httpx.get(f"http://{self.address}:{port}{path}", timeout=2).text
        except httpx.TransportError:
            return None

    def lines(self) -> list[str]:
        found = self.account.logs.filter_log_events(logGroupName=GROUP, logStreamNames=[self.id])
        return [event["message"] for event in found["events"]]

    def console(self) -> str:
        return str(self.ec2.get_console_output(InstanceId=self.id)["Output"])

    def terminate(self) -> None:
        self.ec2.terminate_instances(InstanceIds=[self.id])
        self.wait("instance_terminated")


@pytest.fixture(scope="module")
def account(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Account:
    return Account(lab, tmp_path_factory.mktemp("applications"))


@pytest.fixture(scope="module")
def served(account: Account) -> Instance:
    """An instance that serves; tests that use it leave it as it is."""
    instance = account.run(user_data(account.plain))
    eventually(lambda: instance.get("/version"))
    return instance


def test_an_instance_answers_on_its_own_address_and_its_lines_are_in_cloudwatch_logs(served: Instance) -> None:
    assert served.get("/version") == "1.0.0"
    assert served.get("/instance") == served.id
    assert eventually(served.lines) == ["serving 1.0.0"]
    console = served.console()
    assert "pulling" in console
    assert "started" in console


def test_two_instances_use_the_same_port_side_by_side(account: Account, served: Instance) -> None:
    other = account.run(user_data(f"{account.plain.partition('@')[0]}:1.0.0"))
    assert eventually(lambda: other.get("/instance")) == other.id
    assert served.get("/instance") == served.id
    assert other.address != served.address
    other.terminate()


def test_a_container_sees_nothing_of_the_labs_own_environment(served: Instance) -> None:
    assert served.get("/secret") == "none"
    environment = psutil.Process(int(served.get("/pid") or 0)).environ()
    assert {name for name in environment if name.startswith("PREFECT")} == set()
    assert environment["PYTHONPATH"].endswith("/rootfs/srv/app")
    assert environment["AWS_REGION"] == "eu-north-1"
    assert "NOT_SET" not in environment


def test_gunicorn_listens_where_docker_would_publish_it(account: Account) -> None:
    instance = account.run(user_data(account.wsgi, publish="8080:5000"))
    assert eventually(lambda: instance.get("/", port=8080)) == "from wsgi"
    assert instance.get("/") is None, "only the published port answers"
    instance.terminate()


def test_termination_asks_the_container_to_end_before_the_instance_is_gone(account: Account) -> None:
    instance = account.run(user_data(account.plain))
    pid = int(eventually(lambda: instance.get("/pid")))
    instance.ec2.terminate_instances(InstanceIds=[instance.id])
    assert instance.describe()["State"]["Name"] in ("shutting-down", "terminated")
    instance.wait("instance_terminated")
    assert not psutil.pid_exists(pid)
    assert instance.lines() == ["serving 1.0.0", "asked to end", "ended in peace"]
    described = instance.describe()
    assert described["StateTransitionReason"].startswith("User initiated (")
    assert described["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_a_terminated_instance_is_forgotten_after_an_hour(tmp_path: Path) -> None:
    hour_in_a_second = 3600
    with running_lab(tmp_path / "quick", hour_in_a_second) as quick:
        ec2 = fresh_clients(quick)("ec2")
        (launched,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
        asked = {"InstanceIds": [launched["InstanceId"]]}
        ec2.terminate_instances(**asked)
        ec2.get_waiter("instance_terminated").wait(**asked, WaiterConfig=QUICK)
        eventually(lambda: not ec2.describe_instances()["Reservations"])
        with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
            ec2.describe_instances(**asked)


def test_a_killed_container_is_restarted(account: Account) -> None:
    instance = account.run(user_data(account.plain))
    pid = int(eventually(lambda: instance.get("/pid")))
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: (found := instance.get("/pid")) and int(found) != pid)
    assert eventually(lambda: len(instance.lines()) == 2)
    instance.terminate()


def test_a_crashing_container_is_restarted_only_when_docker_is_told_to(
    account: Account, call_tool: Callable[..., Any]
) -> None:
    stubborn = account.run(user_data(account.crashing))
    once = account.run(user_data(account.crashing, options=""))

    def machine(instance: Instance) -> dict[str, Any]:
        found: dict[str, Any] = call_tool("GET", "/lab/status")["parts"]["ElasticComputeCloud"][instance.id]
        return found

    eventually(lambda: machine(stubborn)["restarts"] >= 2)
    eventually(lambda: machine(once)["container"] == "exited (3)")
    assert machine(once)["restarts"] == 0
    assert once.describe()["State"]["Name"] == "running", "the instance itself is well"
    stubborn.terminate()
    once.terminate()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app@sha256:" + "0" * 64, "manifest unknown"),
        ("123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app:9.9.9", "manifest unknown"),
        ("123456789012.dkr.ecr.eu-north-1.amazonaws.com/nothing:1", "name unknown"),
        ("$IMAGE", "invalid reference format"),
    ],
)
def test_an_image_that_cannot_be_pulled_leaves_a_running_instance_on_which_nothing_listens(
    account: Account, image: str, words: str
) -> None:
    instance = account.run(user_data(image))
    assert instance.get("/version") is None
    assert words in instance.console()


def test_a_flood_of_lines_arrives_whole(account: Account) -> None:
    words = ' python -c "print((chr(120) * 99 + chr(10)) * 12000, flush=True)"'
    instance = account.run(user_data(account.plain + words, options=""))

    def count() -> int:
        pages = account.logs.get_paginator("filter_log_events").paginate(
            logGroupName=GROUP, logStreamNames=[instance.id]
        )
        return sum(len(page["events"]) for page in pages)

    eventually(lambda: count() == 12000)
    instance.terminate()


def test_without_its_log_group_the_container_does_not_start(account: Account) -> None:
    instance = account.run(user_data(account.plain, log_group="/nowhere"))
    assert instance.get("/version") is None
    assert "The specified log group does not exist" in instance.console()


def test_a_layer_that_changed_on_disk_is_not_run(account: Account, lab: dict[str, Any], tmp_path: Path) -> None:
    ecr = account.client("ecr")
    ecr.create_repository(repositoryName="tampered")
    image = pushed(ecr, plain_app(tmp_path / "app"), "tampered", "1")
    for layer in (Path(lab["home"]) / "registry" / "tampered").iterdir():
        layer.write_bytes(layer.read_bytes() + b"x")
    assert "verification failed" in account.run(user_data(image)).console()


def test_an_instance_without_user_data_just_runs_and_passes_its_status_checks(account: Account) -> None:
    instance = account.run(None)
    (status,) = instance.ec2.describe_instance_status(InstanceIds=[instance.id])["InstanceStatuses"]
    assert status["InstanceStatus"]["Status"] == "initializing"
    instance.wait("instance_status_ok")
    assert instance.get("/") is None


def test_an_instance_is_placed_in_the_subnet_that_was_asked_for(account: Account) -> None:
    for subnet in account.ec2.describe_subnets()["Subnets"][:3]:
        described = account.launch(None, SubnetId=subnet["SubnetId"]).describe()
        assert described["SubnetId"] == subnet["SubnetId"]
        assert described["Placement"]["AvailabilityZone"] == subnet["AvailabilityZone"]


def test_a_stopped_instance_comes_back_with_its_container_and_address(account: Account) -> None:
    instance = account.run(user_data(account.plain))
    address, pid = instance.address, eventually(lambda: instance.get("/pid"))
    instance.ec2.stop_instances(InstanceIds=[instance.id])
    instance.wait("instance_stopped")
    assert instance.get("/pid") is None
    instance.ec2.start_instances(InstanceIds=[instance.id])
    instance.wait("instance_running")
    assert eventually(lambda: instance.get("/pid")) != pid
    assert instance.address == address
    instance.ec2.reboot_instances(InstanceIds=[instance.id])
    assert eventually(lambda: len(instance.lines()) == 3 + 2 * 2), "served three times, ended twice"
    instance.terminate()


def test_an_instance_that_is_not_running_cannot_be_stopped(account: Account) -> None:
    instance = account.launch(None)
    with pytest.raises(ClientError) as caught:
        instance.ec2.stop_instances(InstanceIds=[instance.id])
    assert caught.value.response["Error"]["Code"] == "IncorrectInstanceState"


def test_a_launch_that_is_sent_twice_launches_once(account: Account) -> None:
    token = uuid.uuid4().hex
    first, second = (account.launch(None, ClientToken=token) for _ in range(2))
    assert first.id == second.id


def test_a_termination_during_the_boot_leaves_no_process(account: Account) -> None:
    instance = account.launch(user_data(account.plain))
    address = instance.address
    instance.terminate()
    listening = {one.laddr.ip for one in psutil.net_connections("tcp") if one.status == "LISTEN"}
    assert address not in listening


def test_the_public_ami_parameter_names_an_image_that_exists(account: Account) -> None:
    (image,) = account.ec2.describe_images(ImageIds=[account.ami])["Images"]
    assert image["Name"].startswith("al2023-ami-2023.")
    assert datetime.fromisoformat(image["CreationDate"]) < datetime.now(UTC)
