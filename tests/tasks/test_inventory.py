"""What exists is found by what the plan says of it; one of two is not chosen, and no type is unknown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hcl2
import pytest

from tasks.errors import PreconditionFailed
from tasks.inventory import FINDERS, MADE_OVER, find_existing
from tasks.lost_database import ADDRESS, FOUNDATION
from tasks.terraform_plan import Creation

ROOT = Path(__file__).parents[2] / "terraform"
SHARED = ("ecr", "worker")  # modules of environments/shared alone: no environment is rebuilt with them
OWN = {"Name": "demo-flask-app-dev-vpc", "Project": "demo-flask-app", "Environment": "dev"}
VPC = Creation("module.vpc.aws_vpc.main", "aws_vpc", {"tags_all": OWN})


def make_vpc(client: Callable[[str], Any], **tags: str) -> str:
    listed = [{"Key": name, "Value": value} for name, value in {**OWN, **tags}.items()]
    made = client("ec2").create_vpc(
        CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": listed}]
    )
    return str(made["Vpc"]["VpcId"])


def test_every_type_of_the_code_can_be_looked_for() -> None:
    used = {
        kind.strip('"')
        for path in [*ROOT.glob("modules/*/*.tf"), *ROOT.glob("environments/[dp]*/*.tf")]
        if path.parent.name not in SHARED
        for resource in hcl2.loads(path.read_text()).get("resource", [])
        for kind in resource
        if not kind.startswith("__")
    }
    assert used - MADE_OVER == set(FINDERS)


def test_what_a_database_stands_on_is_in_the_code() -> None:
    roots = [(ROOT / "environments" / name / "main.tf").read_text() for name in ("dev", "prod")]
    for _, module, *resource in (address.split(".") for address in (*FOUNDATION, ADDRESS)):
        assert all(f'module "{module}"' in root for root in roots)
        code = "".join(path.read_text() for path in (ROOT / "modules" / module).glob("*.tf"))
        assert not resource or 'resource "{}" "{}"'.format(*resource) in code


def test_what_exists_is_found_and_of_another_environment_is_not(
    account: dict[str, Any], client: Callable[[str], Any]
) -> None:
    make_vpc(client, Environment="prod")
    assert find_existing([VPC]) == {}
    mine = make_vpc(client)
    group = Creation("module.logs.aws_cloudwatch_log_group.main", "aws_cloudwatch_log_group", {"name": "/aws/ec2/x"})
    client("logs").create_log_group(logGroupName="/aws/ec2/x-other")
    assert find_existing([VPC, group]) == {VPC.address: mine}


def test_one_of_two_is_not_chosen(account: dict[str, Any], client: Callable[[str], Any]) -> None:
    both = sorted([make_vpc(client), make_vpc(client)])
    with pytest.raises(PreconditionFailed, match=rf"can be any of {both[0]}, {both[1]}"):
        find_existing([VPC])


def test_a_type_that_nobody_knows_is_refused_rather_than_made_twice() -> None:
    with pytest.raises(PreconditionFailed, match="aws_sqs_queue"):
        find_existing([Creation("aws_sqs_queue.main", "aws_sqs_queue", {"name": "x"})])
