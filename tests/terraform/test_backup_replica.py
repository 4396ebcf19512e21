"""The flag of the backups' replica: off, the plan is as it would be without it; on, it only adds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hcl2
import pytest

from tests.terraform.conftest import run_tests

MODULE = 'module.backup_replica["main"]'
REPLICATION = f"{MODULE}.aws_db_instance_automated_backups_replication.main"
ADDED = {
    REPLICATION,
    f"{MODULE}.aws_kms_key.main",
    f"{MODULE}.aws_kms_alias.main",
    'module.outputs.aws_ssm_parameter.main["backup_replica_arn"]',
}

DATABASE = "module.rds.aws_db_instance.main"
# The test gives the database an ARN, to tell that it is this one's; the mock then makes up its address, too.
TOLD = {DATABASE, 'module.outputs.aws_ssm_parameter.main["db_endpoint"]'}

Changes = dict[str, Any]


@pytest.fixture(scope="module")
def off(planned: Callable[[str], dict[str, Any]]) -> Changes:
    return by_address(planned("prod"))


@pytest.fixture(scope="module")
def on(initialized: Callable[[str], Path]) -> Changes:
    folder = initialized("environments/prod")
    events = run_tests(folder, "-verbose", "-filter=tests/backup_replica.tftest.hcl")
    return by_address(next(e["test_plan"] for e in events if e["type"] == "test_plan"))


def by_address(plan: dict[str, Any]) -> Changes:
    return {one["address"]: one["change"]["after"] for one in plan["resource_changes"] if one["mode"] == "managed"}


def test_it_is_off_and_then_nothing_of_it_is_planned(off: Changes) -> None:
    assert not [address for address in off if "replica" in address]


def test_it_adds_a_replication_its_key_and_where_to_find_it_and_changes_nothing_else(off: Changes, on: Changes) -> None:
    assert on.keys() - off.keys() == ADDED
    assert {address: on[address] for address in off.keys() - TOLD} == {
        address: off[address] for address in off.keys() - TOLD
    }


def test_this_database_s_backups_are_kept_there_as_long_as_here(on: Changes) -> None:
    assert on[REPLICATION]["source_db_instance_arn"] == on[DATABASE]["arn"]
    assert on[REPLICATION]["retention_period"] == 30
    assert on[f"{MODULE}.aws_kms_key.main"]["deletion_window_in_days"] == 30


def test_all_of_it_is_made_by_the_provider_of_the_other_region(source: Path) -> None:
    """A plan does not tell regions: the code does, and an apply in tests/flows."""
    code = hcl2.loads((source / "environments/prod/main.tf").read_text())
    (module,) = [found for one in code["module"] for name, found in one.items() if "backup_replica" in name]
    assert module["providers"] == {"aws": "${aws.replica}"}
    regions = {one.get("alias"): one["region"] for each in code["provider"] for one in each.values()}
    assert sorted(regions.values()) == ["${var.backup_replica_region}", "${var.region}"]
