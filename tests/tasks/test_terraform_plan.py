"""A plan as data: what counts, what is refused, and what its hash depends on."""

import copy
from typing import Any

import pytest

from tasks.errors import PreconditionFailed
from tasks.terraform_plan import read_plan, require_additions_only, require_no_loss

DATABASE = "module.rds.aws_db_instance.main"


def change(address: str, actions: list[str], **details: Any) -> dict[str, Any]:
    return {
        "address": address,
        "type": address.split(".")[-2],
        "mode": "managed",
        "change": {"actions": actions, "before": None, "after": None, **details},
    }


def document(*changes: dict[str, Any], **outputs: dict[str, Any]) -> dict[str, Any]:
    return {"resource_changes": list(changes), "output_changes": outputs}


REPLACED_DATABASE = change(
    DATABASE,
    ["delete", "create"],
    before={"storage_encrypted": False, "latest_restorable_time": "10:00"},
    after={"storage_encrypted": True},
    after_unknown={"latest_restorable_time": True},
    replace_paths=[["storage_encrypted"]],
)


def test_no_ops_and_reads_are_an_empty_plan() -> None:
    read = {**change("data.aws_ami.main", ["read"]), "mode": "data"}
    assert read_plan(document(change("aws_vpc.main", ["no-op"]), read)).is_empty


def test_a_replacement_names_the_attribute_that_forces_it() -> None:
    (found,) = read_plan(document(REPLACED_DATABASE)).changes
    assert (found.action, found.attributes, found.loses) == ("replace", ("storage_encrypted",), True)


def test_replacing_the_database_is_refused_unless_it_is_named() -> None:
    plan = read_plan(document(REPLACED_DATABASE, change("aws_vpc.main", ["update"])))
    with pytest.raises(PreconditionFailed, match=r"replace module\.rds\.aws_db_instance\.main \(storage_encrypted\)"):
        require_no_loss(plan, [])
    require_no_loss(plan, [DATABASE])


def test_a_loss_that_is_allowed_but_not_planned_is_refused_too() -> None:
    with pytest.raises(PreconditionFailed, match="which this plan does not lose"):
        require_no_loss(read_plan(document(change("aws_vpc.main", ["update"]))), [DATABASE])


def test_deleting_what_can_be_rebuilt_is_allowed() -> None:
    require_no_loss(read_plan(document(change("aws_autoscaling_policy.cpu", ["delete"]))), [])


def test_the_hash_ignores_what_moves_by_itself() -> None:
    later = copy.deepcopy(REPLACED_DATABASE)
    later["change"]["before"]["latest_restorable_time"] = "10:05"
    assert read_plan(document(REPLACED_DATABASE)).hash == read_plan(document(later)).hash


@pytest.mark.parametrize(
    "other",
    [
        change(DATABASE, ["update"], before={"a": 1}, after={"a": 3}),
        change(DATABASE, ["update"], before={"a": 1}, after={"a": 2, "b": 1}),
        change("module.rds.aws_db_instance.other", ["update"], before={"a": 1}, after={"a": 2}),
        change(DATABASE, ["delete", "create"], before={"a": 1}, after={"a": 2}, replace_paths=[["a"]]),
    ],
)
def test_the_hash_changes_with_every_value_address_and_action(other: dict[str, Any]) -> None:
    first = change(DATABASE, ["update"], before={"a": 1}, after={"a": 2})
    assert read_plan(document(first)).hash != read_plan(document(other)).hash


def test_a_sensitive_value_is_in_neither_the_plan_nor_its_table() -> None:
    secret = change(
        DATABASE,
        ["update"],
        before={"password": "old-canary"},
        after={"password": "canary"},
        after_sensitive={"password": True},
    )
    plan = read_plan(document(secret))
    assert "canary" not in repr(plan) + plan.table()
    assert plan.changes[0].attributes == ("password",)


def test_the_table_shows_losses_first() -> None:
    plan = read_plan(document(change("aws_vpc.a", ["create"]), REPLACED_DATABASE, change("aws_lb.b", ["delete"])))
    assert [row.split("|")[1].strip() for row in plan.table().splitlines()[2:]] == ["delete", "replace", "create"]
    assert plan.counts() == "1 to create, 1 to delete, 1 to replace"


def test_what_is_imported_is_said_and_another_import_is_another_plan() -> None:
    plans = [read_plan(document(change("aws_vpc.main", ["no-op"], importing={"id": one}))) for one in ("a", "b")]
    assert [plan.counts() for plan in plans] == ["1 to import"] * 2
    assert plans[0].hash != plans[1].hash


def test_a_creation_has_its_planned_values_but_no_secret() -> None:
    made = change("aws_vpc.main", ["create"], after={"name": "x", "key": "canary"}, after_sensitive={"key": True})
    plan = read_plan(document(made))
    assert plan.creation("aws_vpc.main").values == {"name": "x"}
    require_additions_only(plan)


def test_a_plan_that_takes_anything_away_is_no_recovery() -> None:
    for actions in (["delete"], ["create", "delete"]):
        with pytest.raises(PreconditionFailed, match="only makes, adopts and updates"):
            require_additions_only(read_plan(document(change("aws_autoscaling_policy.cpu", actions))))
