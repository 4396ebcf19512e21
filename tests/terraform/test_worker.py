"""The runs' role may do what the code calls, and nothing in a service that it does not use."""

import inspect
import re
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import hcl2

from tasks.aws import LOOKS
from tasks.change_lock import LOCK_TABLE
from tasks.environment import PROJECT
from tasks.permissions import EVERYDAY, SET_UP, actions
from tasks.terraform import state_bucket
from tests.terraform.conftest import SOURCE

# What Terraform's types begin with, where that is not the service's own name.
TYPES = {"cloudwatch_log": "logs", "db": "rds", "lb": "elasticloadbalancing"}
IN_EC2 = ("default", "eip", "internet", "launch", "nat", "route", "security", "subnet", "vpc")


@cache
def code() -> dict[str, Any]:
    """The lists of terraform/modules/worker/runs.tf, by name."""
    (found,) = hcl2.loads((SOURCE / "modules/worker/runs.tf").read_text())["locals"]
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    return [one.strip('"') for one in value] if isinstance(value, list) and isinstance(value[0], str) else value


def allowed() -> list[str]:
    own = [f"{service}:*" for service in code()["named"] if not service.startswith("__")]
    return [*code()["operated"], *code()["looked_at"], *code()["found"], *own]


def called() -> set[str]:
    """The service of each action that the code calls: tests/tasks/test_permissions.py keeps the lists true."""
    return {action.partition(":")[0] for table in (EVERYDAY, SET_UP) for action in actions(table)}


def built() -> set[str]:
    """The service of each thing that Terraform makes for an environment, as IAM names it."""
    kinds = {
        kind.strip('"').removeprefix("aws_")
        for path in SOURCE.glob("modules/*/*.tf")
        if path.parent.name != "worker"
        for resource in hcl2.loads(path.read_text()).get("resource", [])
        for kind in resource
    }
    return {_service(kind) for kind in kinds}


def _service(kind: str) -> str:
    start = kind.partition("_")[0]
    return next((TYPES[one] for one in TYPES if kind.startswith(one)), "ec2" if start in IN_EC2 else start)


def test_what_an_operator_must_be_permitted_a_run_may_do() -> None:
    refused = [
        one
        for table in (EVERYDAY, SET_UP)
        for one in actions(table)
        if not any(fnmatchcase(one, pattern) for pattern in allowed())
    ]
    assert refused == []


def test_a_service_is_in_the_role_when_the_code_uses_it_and_only_then() -> None:
    assert {action.partition(":")[0] for action in allowed()} == called() | built()


def test_what_is_only_looked_at_cannot_be_changed() -> None:
    assert all(LOOKS.match(action.partition(":")[2]) for action in code()["looked_at"])


def test_data_and_rights_are_not_given_by_the_service() -> None:
    by_name = {name for name in code()["named"] if not name.startswith("__")}
    assert by_name == {"dynamodb", "iam", "s3", "secretsmanager"}
    assert not by_name & {action.partition(":")[0] for action in code()["operated"]}


def test_a_run_reaches_the_state_and_its_lock_by_the_names_that_the_tasks_give_them() -> None:
    text = (SOURCE / "modules/worker/runs.tf").read_text().replace("${var.project_name}", PROJECT)
    assert f'"table/{LOCK_TABLE}"' in text
    (bucket,) = re.findall(r'return f"(terraform-state-\{PROJECT\}-)', inspect.getsource(state_bucket))
    assert f'"arn:aws:s3:::{bucket.format(PROJECT=PROJECT)}*"' in text


def test_a_run_cannot_widen_its_own_role() -> None:
    for action in ("iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:PassRole"):
        assert any(fnmatchcase(action, pattern) for pattern in code()["kept_from_runs"]), action
