"""The smallest release misbehaves in the ways that its build arguments say."""

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
    """Instances of the smallest release."""

    def __init__(self, lab: dict[str, Any]) -> None:
        client = fresh_clients(lab)
        self.ec2, self._ecr = client("ec2"), client("ecr")
        self._ecr.create_repository(repositoryName="light")
        client("logs").create_log_group(logGroupName="/app")
        self._ami = client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]

    def launch(self, behaviour: str, **settings: str) -> str:
        """A running instance of a release that behaves so. Its address."""
        arguments = {"VERSION": "1", "BEHAVIOUR": behaviour, **settings}
        image = build(LIGHT, dockerfile=LIGHT / "Dockerfile", target="app", build_args=arguments)
        reference = f"{push(self._ecr, 'light', behaviour, image)}@{image.manifest.digest}"
        launched = self.ec2.run_instances(
            ImageId=self._ami, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=user_data(reference)
        )["Instances"][0]
        self.ec2.get_waiter("instance_running").wait(InstanceIds=[launched["InstanceId"]], WaiterConfig=QUICK)
        return f"http://{launched['PrivateIpAddress']}:5000"


@pytest.fixture(scope="module")
def fleet(lab: dict[str, Any]) -> Fleet:
    return Fleet(lab)


def status(url: str) -> int | None:
    """What is answered, or None when nothing listens."""
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return None


def test_a_slow_one_runs_long_before_it_listens(fleet: Fleet) -> None:
    url = fleet.launch("slow", SECONDS="4")
    assert status(f"{url}/health") is None
    eventually(lambda: status(f"{url}/health") == 200)


def test_a_decaying_one_is_healthy_until_it_fails_everything(fleet: Fleet) -> None:
    url = fleet.launch("decaying", SECONDS="3")
    eventually(lambda: status(f"{url}/health") == 200)
    eventually(lambda: status(f"{url}/health") == 503)
    assert status(f"{url}/items") == 503


def test_an_overloaded_one_is_healthy_and_refuses_what_is_too_much(fleet: Fleet) -> None:
    url = fleet.launch("overloaded", PER_SECOND="3")
    eventually(lambda: status(f"{url}/health") == 200)
    answers = [status(f"{url}/items") for _ in range(30)]
    assert set(answers) == {200, 503}
    assert answers[0] == 200
    assert status(f"{url}/health") == 200
