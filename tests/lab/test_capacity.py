"""Launches that EC2 has no capacity for: what a group says, and what a refresh makes of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.groups import Account, Group, eventually


@pytest.fixture(scope="module")
def account(lab: dict[str, Any]) -> Account:
    return Account(lab)


@pytest.fixture
def group(account: Account) -> Group:
    return account.group()


@pytest.fixture
def plan(call_tool: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Plan an error of RunInstances; all plans are dropped at the end."""

    def plan(code: str = "InsufficientInstanceCapacity", **settings: Any) -> None:
        call_tool("POST", "/lab/faults", {"match": "ec2:RunInstances", "kind": "error", "code": code, **settings})

    yield plan
    call_tool("DELETE", "/lab/faults")


def failures(group: Group) -> list[str]:
    return [one["StatusMessage"] for one in group.activities() if one["StatusCode"] == "Failed"]


def test_a_group_says_what_it_could_not_launch_where_and_tries_again(group: Group, plan: Any) -> None:
    group.create(0)
    plan(times=1)
    group.call("set_desired_capacity", DesiredCapacity=1)
    group.wait_in_service(1)
    (words,) = failures(group)
    zones = {zone for zone in ("eu-north-1a", "eu-north-1b", "eu-north-1c") if f"you requested ({zone})." in words}
    assert len(zones) == 1
    assert words.startswith("We currently do not have sufficient t3.micro capacity in the Availability Zone you ")
    (failed,) = [one for one in group.activities() if one["StatusCode"] == "Failed"]
    assert failed["Description"].startswith("Launching a new EC2 instance.  Status Reason: We currently do not have")
    assert failed["Description"].endswith("Launching EC2 instance failed.")


def test_a_refresh_without_capacity_fails_and_leaves_the_old_instances(group: Group, plan: Any) -> None:
    before = set(group.create(2).ids())
    version = group.new_version()
    plan()
    group.refresh(version, MinHealthyPercentage=100, MaxHealthyPercentage=110)
    found = group.wait_refresh("Failed")
    assert "launches in a row failed" in found["StatusReason"]
    assert set(group.ids("InService")) == before
    assert group.versions() == ["1", "1"]


def test_a_refresh_without_capacity_is_rolled_back_when_asked(group: Group, plan: Any) -> None:
    before = set(group.create(2).ids())
    version = group.new_version()
    plan()
    group.refresh(version, MinHealthyPercentage=100, MaxHealthyPercentage=110, AutoRollback=True)
    found = group.wait_refresh("RollbackSuccessful", "RollbackFailed")
    assert found["Status"] == "RollbackSuccessful"
    assert set(group.ids("InService")) == before


def test_a_group_is_not_concerned_by_faults_of_other_callers(group: Group, plan: Any) -> None:
    plan(code="Throttling")
    group.create(1)
    assert failures(group) == []
    with pytest.raises(ClientError) as caught:
        group.ec2.run_instances(ImageId=group.ami, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    assert caught.value.response["Error"] == {"Code": "Throttling", "Message": "Rate exceeded"}


def test_another_refusal_is_told_in_its_own_words(group: Group, plan: Any) -> None:
    group.create(0)
    plan(code="VcpuLimitExceeded", message="You have requested more vCPU capacity than your current limit.")
    group.call("set_desired_capacity", DesiredCapacity=1)
    eventually(lambda: failures(group))
    assert failures(group)[0].startswith("You have requested more vCPU capacity than your current limit.")
