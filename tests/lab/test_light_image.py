"""The smallest release misbehaves in the ways that its build arguments say."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lab.image import build
from lab.push import push
from tests.lab.alb import eventually, fresh_clients
from tests.lab.registry import AMI_PARAMETER, PROJECT, user_data

LIGHT = PROJECT / "tests" / "images" / "light"
QUICK = {"Delay": 0.1, "MaxAttempts": 200}


class Fleet:
    """One instance for each behaviour, launched side by side."""

    def __init__(self, lab: dict[str, Any], **behaviours: dict[str, str]) -> None:
        client = fresh_clients(lab)
        self.ec2, self._ecr = client("ec2"), client("ecr")
        self._ecr.create_repository(repositoryName="light")
        client("logs").create_log_group(logGroupName="/app")
        self._ami = client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
        self._ids = {name: self._launch(name, settings) for name, settings in behaviours.items()}
        self.ec2.get_waiter("instance_running").wait(InstanceIds=list(self._ids.values()), WaiterConfig=QUICK)

    def _launch(self, behaviour: str, settings: dict[str, str]) -> str:
        arguments = {"VERSION": "1", "BEHAVIOUR": behaviour, **settings}
        image = build(LIGHT, dockerfile=LIGHT / "Dockerfile", target="app", build_args=arguments)
        reference = f"{push(self._ecr, 'light', behaviour, image)}@{image.manifest.digest}"
        launched = self.ec2.run_instances(
            ImageId=self._ami, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=user_data(reference)
        )
        return str(launched["Instances"][0]["InstanceId"])

    def url(self, behaviour: str) -> str:
        found = self.ec2.describe_instances(InstanceIds=[self._ids[behaviour]])["Reservations"][0]["Instances"][0]
        return f"http://{found['PrivateIpAddress']}:5000"


@pytest.fixture(scope="module")
def fleet(lab: dict[str, Any]) -> Iterator[Fleet]:
    wanted = {"slow": {"SECONDS": "6"}, "decaying": {"SECONDS": "6"}, "overloaded": {"PER_SECOND": "3"}}
    fleet = Fleet(lab, **wanted)
    yield fleet
    fleet.ec2.terminate_instances(InstanceIds=list(fleet._ids.values()))


def status(url: str) -> int | None:
    """What is answered, or None when nothing listens."""
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return None


def test_a_slow_one_boots_long_before_it_listens(fleet: Fleet) -> None:
    url = f"{fleet.url('slow')}/health"
    assert status(url) is None
    assert status(f"{fleet.url('overloaded')}/health") == 200, "others listen already"
    eventually(lambda: status(url) == 200)


def test_a_decaying_one_is_healthy_until_it_fails_everything(fleet: Fleet) -> None:
    url = fleet.url("decaying")
    eventually(lambda: status(f"{url}/health") == 200)
    eventually(lambda: status(f"{url}/health") == 503)
    assert status(f"{url}/items") == 503


def test_an_overloaded_one_is_healthy_and_refuses_what_is_too_much(fleet: Fleet) -> None:
    url = fleet.url("overloaded")
    eventually(lambda: status(f"{url}/health") == 200)
    assert status(f"{url}/items") == 200
    answers = [status(f"{url}/items") for _ in range(30)]
    assert set(answers) == {200, 503}
    assert status(f"{url}/health") == 200
