"""Amazon Linux releases appear over time: images, public parameters, and what the instances of older ones lack."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.lab.alb import fresh_clients
from tests.lab.groups import AMI_PARAMETER, Account, Group, eventually

PROJECT = Path(__file__).parents[2]
PATTERN = {"Name": "name", "Values": ["al2023-ami-2023.*-x86_64"]}


@pytest.fixture(scope="module")
def account(lab: dict[str, Any]) -> Account:
    return Account(lab)


@pytest.fixture
def publish(account: Account, call_tool: Callable[..., Any]) -> Callable[..., Any]:
    def publish(*fixes: str) -> dict[str, Any]:
        found: dict[str, Any] = call_tool("POST", "/lab/amis", {"fixes": list(fixes)})
        return found

    return publish


@pytest.fixture
def group(account: Account) -> Group:
    return account.group()


def parameter(account: Account, name: str = AMI_PARAMETER) -> str:
    return str(account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])


def patches(account: Account, instance_id: str, **asked: Any) -> list[dict[str, Any]]:
    return list(account.client("ssm").describe_instance_patches(InstanceId=instance_id, **asked)["Patches"])


def missing(account: Account, instance_id: str) -> set[str]:
    asked = [{"Key": "State", "Values": ["Missing"]}]
    return {cve for one in patches(account, instance_id, Filters=asked) for cve in one["CVEIds"].split(",")}


def state(account: Account, instance_id: str) -> dict[str, Any]:
    """The instance's patch state, once its agent is online."""
    ssm = account.client("ssm")

    def ask() -> Any:
        return ssm.describe_instance_patch_states(InstanceIds=[instance_id])["InstancePatchStates"]

    eventually(ask)
    return dict(ask()[0])


def test_a_release_is_a_newer_image_to_which_the_parameters_point(account: Account, publish: Any) -> None:
    ec2, ssm = account.client("ec2"), account.client("ssm")
    names = [AMI_PARAMETER, AMI_PARAMETER.replace("default", "6.1")]
    before = {one["Name"]: one for one in ssm.get_parameters(Names=names)["Parameters"]}
    released = publish("CVE-2026-0001")
    after = {one["Name"]: one for one in ssm.get_parameters(Names=names)["Parameters"]}
    assert after[AMI_PARAMETER]["Value"] == released["ImageId"]
    for name in names:
        assert after[name]["Version"] == before[name]["Version"] + 1
        ids = [before[name]["Value"], after[name]["Value"]]
        found = {one["ImageId"]: one for one in ec2.describe_images(ImageIds=ids)["Images"]}
        old, new = (found[one] for one in ids)
        assert new["Name"] > old["Name"]
        assert new["CreationDate"] > old["CreationDate"]
        assert new["Name"].rpartition("-kernel")[2] == old["Name"].rpartition("-kernel")[2], "the same variant"
    images = ec2.describe_images(Owners=["amazon"], Filters=[PATTERN])["Images"]
    assert max(images, key=lambda one: one["CreationDate"])["ImageId"] == released["ImageId"]


def test_a_template_that_resolves_the_parameter_launches_the_new_image_at_once(group: Group, publish: Any) -> None:
    version = group.new_version(ImageId=f"resolve:ssm:{AMI_PARAMETER}")
    group.create(1, version=version)
    (old,) = group.ids()
    released = publish()
    group.call("set_desired_capacity", DesiredCapacity=2)
    group.wait_in_service(2)
    found = group.ec2.describe_instances(InstanceIds=group.ids())["Reservations"]
    images = {one["InstanceId"]: one["ImageId"] for each in found for one in each["Instances"]}
    assert images.pop(old) != released["ImageId"]
    assert set(images.values()) == {released["ImageId"]}


def test_an_instance_misses_what_newer_releases_fix_until_it_runs_one(
    account: Account, group: Group, publish: Any
) -> None:
    group.create(1)
    (old,) = group.ids()
    publish("CVE-2026-1001", "CVE-2026-1002")
    released = publish("CVE-2026-1003")
    found = state(account, old)
    wanted = {"CVE-2026-1001", "CVE-2026-1002", "CVE-2026-1003"}
    assert wanted <= missing(account, old)
    assert found["MissingCount"] == found["SecurityNonCompliantCount"] >= 3
    assert found["Operation"] == "Scan"
    patch = next(one for one in patches(account, old) if "CVE-2026-1003" in one.get("CVEIds", ""))
    assert (patch["Classification"], patch["State"], patch["Severity"]) == ("Security", "Missing", "Important")
    group.refresh(group.new_version(ImageId=released["ImageId"]))
    group.wait_refresh("Successful")
    group.wait_in_service(1)
    (new,) = group.ids()
    assert state(account, new)["MissingCount"] == 0
    assert missing(account, new) == set()
    assert "Installed" in {one["State"] for one in patches(account, new)}
    assert patches(account, old) == [], "a terminated instance has none"
    assert versions(account, new)[package(patch)] == released["Release"]


def package(patch: dict[str, Any]) -> str:
    return str(patch["KBId"].partition(".")[0])


def versions(account: Account, instance_id: str) -> dict[str, str]:
    asked = {"InstanceId": instance_id, "TypeName": "AWS:Application"}
    entries = account.client("ssm").list_inventory_entries(**asked)["Entries"]
    return {one["Name"]: one["Version"] for one in entries}


def test_without_an_agent_online_there_are_neither_patches_nor_inventory(account: Account, publish: Any) -> None:
    publish("CVE-2026-2001")
    ec2, ssm = account.client("ec2"), account.client("ssm")
    (launched,) = ec2.run_instances(ImageId=account.ami, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"]
    instance_id = launched["InstanceId"]
    assert ssm.describe_instance_patch_states(InstanceIds=[instance_id])["InstancePatchStates"] == []
    assert versions(account, instance_id) == {}
    assert "CVE-2026-2001" in (state(account, instance_id) and missing(account, instance_id))
    assert "kernel" in versions(account, instance_id)
    ec2.stop_instances(InstanceIds=[instance_id])
    eventually(lambda: patches(account, instance_id) == [])
    assert versions(account, instance_id) == {}


def test_a_release_is_published_from_a_terminal(account: Account, lab: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "lab", "--home", lab["home"], "publish-ami", "--fixes"]
    done = subprocess.run([*command, "CVE-2026-3001,CVE-2026-3002"], cwd=PROJECT, check=True, capture_output=True)
    published = json.loads(done.stdout)
    assert published["Fixes"] == ["CVE-2026-3001", "CVE-2026-3002"]
    assert parameter(account) == published["ImageId"]
    assert httpx.get(f"{lab['url']}/lab/amis").json()[-1]["name"] == published["Release"]
    wrong = subprocess.run([*command, "everything"], cwd=PROJECT, check=False, capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "'everything' is not a CVE" in wrong.stderr
    assert parameter(account) == published["ImageId"], "nothing was published"


def test_an_image_that_was_deregistered_cannot_be_launched(account: Account, publish: Any) -> None:
    image, ec2 = publish()["ImageId"], account.client("ec2")
    publish()
    ec2.deregister_image(ImageId=image)
    with pytest.raises(ClientError) as caught:
        ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    assert caught.value.response["Error"]["Code"] == "InvalidAMIID.Unavailable"


def test_a_reset_forgets_the_releases(account: Account, lab: dict[str, Any], publish: Any) -> None:
    """The last one here: it takes the account away."""
    image = publish("CVE-2026-4001")["ImageId"]
    fresh = fresh_clients(lab)
    assert httpx.get(f"{lab['url']}/lab/amis").json() == []
    assert fresh("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"] != image
