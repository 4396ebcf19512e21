"""What a recommendation says, done to the account: its own commands, and by the API what a Terraform change does."""

import json
import shlex
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from awscli.clidriver import create_clidriver

from tasks.recommendation import Recommendation

SECONDS = 60
MONTHS = 12
Client = Callable[..., Any]


def carry_out(client: Client, one: Recommendation) -> None:
    if one.change.startswith("aws "):
        for command in one.change.split(" && "):
            words = shlex.split(command)[1:]
            if words[1] == "wait":  # the AWS CLI would look again after 15 seconds
                wait_until(client, words[-1], "stopped")
            else:
                with redirect_stdout(StringIO()):  # a driver takes one command: what it learns of it stays in it
                    assert create_clidriver().main(words) == 0, command
    else:
        BY_KIND[one.kind](client, one)
    if one.resource.startswith("i-"):
        wait_until(client, one.resource, "running")
    if one.kind == "let old images expire":
        _expire(client, one.resource)


def dollars_a_month(call_tool: Callable[..., Any]) -> float:
    """What the account as it is now costs in a twelfth of a year."""
    return sum(float(line["dollars_a_year"]) for line in call_tool("GET", "/lab/bill")["lines"]) / MONTHS


def wait_until(client: Client, name: str, state: str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        (found,) = client("ec2").describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"]
        if found["State"]["Name"] == state:
            return
        assert time.monotonic() < deadline, found["State"]
        time.sleep(0.1)


def _share_one(client: Client, one: Recommendation) -> None:
    for name in one.resource.split(",")[1:]:
        (found,) = client("ec2").describe_nat_gateways(NatGatewayIds=[name])["NatGateways"]
        client("ec2").delete_nat_gateway(NatGatewayId=name)
        for address in found["NatGatewayAddresses"]:
            (told,) = client("ec2").describe_addresses(AllocationIds=[address["AllocationId"]])["Addresses"]
            client("ec2").disassociate_address(AssociationId=told["AssociationId"])
            client("ec2").release_address(AllocationId=address["AllocationId"])


def _start_successor(client: Client, one: Recommendation) -> None:
    client("ec2").stop_instances(InstanceIds=[one.resource])
    wait_until(client, one.resource, "stopped")
    then = one.change.partition("--instance-type ")[2].partition(",")[0]
    client("ec2").modify_instance_attribute(InstanceId=one.resource, InstanceType={"Value": then})
    client("ec2").start_instances(InstanceIds=[one.resource])


def _resize_database(client: Client, one: Recommendation) -> None:
    then = one.change.partition('= "')[2].partition('"')[0]
    _modify(client, one.resource, "DBInstanceClass", then)


def _in_one_zone(client: Client, one: Recommendation) -> None:
    _modify(client, one.resource, "MultiAZ", False)


def _modify(client: Client, name: str, setting: str, value: Any) -> None:
    """Its first backup may still be made."""
    _wait_until_available(client, name)
    client("rds").modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **{setting: value})
    _wait_until_available(client, name, **{setting: value})


def _wait_until_available(client: Client, name: str, **settings: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        (found,) = client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        if {"DBInstanceStatus": "available", **settings}.items() <= found.items():
            return
        time.sleep(0.2)
    raise TimeoutError(f"{name} is {found['DBInstanceStatus']}, expected available with {settings}")


def _expire(client: Client, repository: str) -> None:
    """What the registry does within a day of being given a policy."""
    told = client("ecr").get_lifecycle_policy(repositoryName=repository)["lifecyclePolicyText"]
    (rule,) = json.loads(told)["rules"]
    images = client("ecr").describe_images(repositoryName=repository)["imageDetails"]
    images.sort(key=lambda image: image["imagePushedAt"], reverse=True)
    gone = [{"imageDigest": image["imageDigest"]} for image in images[rule["selection"]["countNumber"] :]]
    client("ecr").batch_delete_image(repositoryName=repository, imageIds=gone)


BY_KIND: dict[str, Callable[[Client, Recommendation], None]] = {
    "share one NAT gateway": _share_one,
    "use Graviton": _start_successor,
    "use a smaller database": _resize_database,
    "use a database on Graviton": _resize_database,
    "keep dev's database in one zone": _in_one_zone,
}
