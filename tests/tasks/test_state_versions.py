"""Which version of a Terraform state may come back, and what happens to the one whose place it takes."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tasks import aws, state_backend
from tasks.change_lock import LOCK_TABLE
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.lost_state import set_aside
from tasks.state_versions import StateVersion, list_versions, make_readable, plan_restore, require_restored, table
from tasks.terraform_lock import StateAddress

BUCKET = "terraform-state-demo-flask-app-123456789012"
STATE = StateAddress(BUCKET, "dev/terraform.tfstate")
SECRET = "canary-in-a-state"


@pytest.fixture
def s3(account: dict[str, Any]) -> Any:
    state_backend.ensure_state_bucket.fn(BUCKET)
    state_backend.ensure_lock_table.fn()
    return aws.client("s3")


def state(serial: int, *resources: str, lineage: str = "ours") -> bytes:
    return json.dumps(
        {
            "version": 4,
            "terraform_version": "1.11.4",
            "serial": serial,
            "lineage": lineage,
            "outputs": {},
            "resources": [
                {
                    "mode": "managed",
                    "module": "module.it",
                    "type": "aws_it",
                    "name": name,
                    "instances": [{"index_key": "a", "attributes": {"id": SECRET}}],
                }
                for name in resources
            ],
        },
        indent=2,
    ).encode()


def put(body: bytes) -> str:
    put: str = aws.client("s3").put_object(Bucket=BUCKET, Key=STATE.key, Body=body)["VersionId"]
    return put


def current() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(aws.client("s3").get_object(Bucket=BUCKET, Key=STATE.key)["Body"].read())
    return found


def versions() -> tuple[StateVersion, ...]:
    return list_versions.fn(STATE)


def lose(how: str) -> None:
    if how == "deleted":
        aws.client("s3").delete_object(Bucket=BUCKET, Key=STATE.key)
    else:
        put({"truncated": state(9, "vpc")[:90], "empty": b"", "no state": b"[]", "no text": b"\xff\xfe"}[how])


LOSSES = ["deleted", "truncated", "empty", "no state", "no text"]


def test_the_list_says_what_each_version_is_and_no_value_of_it(s3: Any) -> None:
    put(state(1, "vpc"))
    put(state(2, "vpc", "db"))
    lose("truncated")
    lose("deleted")
    put(state(3, "vpc"))
    s3.put_object(Bucket=BUCKET, Key=f"{STATE.key}.tflock", Body=b"{}")
    found = {(v.serial, v.resources, (v.problem or "").partition(":")[0], v.is_current) for v in versions()}
    assert found == {
        (1, 1, "", False),
        (2, 2, "", False),
        (9, 0, "corrupt", False),
        (0, 0, "deleted", False),
        (3, 1, "", True),
    }
    assert SECRET not in repr(versions()) + "".join(table(versions()))


@pytest.mark.parametrize("how", LOSSES)
def test_a_lost_or_corrupt_state_is_made_readable_and_stays_in_the_bucket(s3: Any, how: str) -> None:
    good = put(state(4, "vpc", "db"))
    put(state(5, "vpc"))
    lose(how)
    before = {v.id for v in versions()}
    restore = plan_restore(versions(), good)
    make_readable.fn(STATE, restore)
    assert (current()["serial"], current()["lineage"]) == (restore.serial - 1, "ours")
    assert [r["name"] for r in current()["resources"]] == ["vpc", "db"]
    assert restore.serial > max(v.serial for v in versions() if not v.is_current)
    assert before < {v.id for v in versions()}
    assert require_restored.fn(STATE, restore).is_current


def test_what_an_older_version_does_not_know_is_named(s3: Any) -> None:
    old = put(state(4, "vpc", "queue"))
    put(state(5, "vpc", "db"))
    lose("deleted")
    assert plan_restore(versions(), old).differences() == [
        'not in it: module.it.aws_it.db["a"]',
        'only in it: module.it.aws_it.queue["a"]',
    ]


def test_a_restore_that_was_killed_half_way_is_the_same_restore(s3: Any) -> None:
    good = put(state(4, "vpc"))
    lose("deleted")
    planned = plan_restore(versions(), good)
    make_readable.fn(STATE, planned)
    again = plan_restore(versions(), good)
    assert (again.hash, again.is_done) == (planned.hash, False)
    count = len(versions())
    make_readable.fn(STATE, again)
    assert len(versions()) == count
    put(state(again.serial, "vpc"))
    assert plan_restore(versions(), good).is_done


def test_a_sound_state_is_never_replaced_by_an_older_one(s3: Any) -> None:
    old = put(state(1, "vpc"))
    put(state(2, "vpc", "db"))
    with pytest.raises(PreconditionFailed, match=r"can be read and is of the same lineage.*--commit"):
        plan_restore(versions(), old)


def test_a_sound_state_of_another_life_is_not_forgotten(s3: Any) -> None:
    old = put(state(7, "vpc"))
    put(state(1, "db", lineage="theirs"))
    with pytest.raises(PreconditionFailed, match="is of lineage ours, expected theirs"):
        plan_restore(versions(), old)


def test_an_empty_state_of_another_lineage_counts_as_lost(s3: Any) -> None:
    old = put(state(7, "vpc"))
    put(state(1, lineage="theirs"))
    assert plan_restore(versions(), old).serial == 8


def test_a_version_of_another_lineage_is_refused(s3: Any) -> None:
    foreign = put(state(3, "db", lineage="theirs"))
    put(state(1, "vpc"))
    lose("deleted")
    with pytest.raises(PreconditionFailed, match="is of lineage theirs, expected ours"):
        plan_restore(versions(), foreign)


def test_a_version_that_cannot_be_read_or_does_not_exist_is_refused(s3: Any) -> None:
    put(state(1, "vpc"))
    broken = put(b"{")
    lose("deleted")
    with pytest.raises(PreconditionFailed, match=f"{broken} cannot be read: corrupt"):
        plan_restore(versions(), broken)
    with pytest.raises(PreconditionFailed, match="nonsense is none of the newest 3"):
        plan_restore(versions(), "nonsense")


def test_a_state_that_somebody_wrote_meanwhile_is_left_alone(s3: Any) -> None:
    good = put(state(4, "vpc"))
    lose("deleted")
    restore = plan_restore(versions(), good)
    put(state(1, "db", lineage="theirs"))
    make_readable.fn(STATE, restore)
    assert current()["lineage"] == "theirs"
    with pytest.raises(VerificationFailed, match="of lineage theirs, expected what"):
        require_restored.fn(STATE, restore)


def test_a_state_that_somebody_locks_is_left_alone(s3: Any) -> None:
    good = put(state(4, "vpc"))
    lose("deleted")
    restore = plan_restore(versions(), good)
    lock = {"ID": "1", "Who": "ada@elsewhere", "Operation": "apply", "Created": "2026-11-24T02:00:00Z"}
    s3.put_object(Bucket=BUCKET, Key=f"{STATE.key}.tflock", Body=json.dumps(lock).encode())
    with pytest.raises(PreconditionFailed, match="locked by ada@elsewhere"):
        make_readable.fn(STATE, restore)
    with pytest.raises(ClientError):
        s3.head_object(Bucket=BUCKET, Key=STATE.key)


def test_the_checksum_of_the_lost_object_goes_with_it(s3: Any) -> None:
    good = put(state(4, "vpc"))
    lose("truncated")
    dynamodb, key = aws.client("dynamodb"), {"LockID": {"S": f"{BUCKET}/{STATE.key}-md5"}}
    dynamodb.put_item(TableName=LOCK_TABLE, Item={**key, "Digest": {"S": "0" * 32}})
    make_readable.fn(STATE, plan_restore(versions(), good))
    assert "Item" not in dynamodb.get_item(TableName=LOCK_TABLE, Key=key)


def test_an_environment_that_never_had_a_state_is_sent_to_be_built(s3: Any) -> None:
    with pytest.raises(PreconditionFailed, match=r"no version at all.*deploy_infrastructure"):
        versions()


def test_a_corrupt_state_makes_room_once_and_stays_in_the_bucket(s3: Any) -> None:
    put(state(1, "vpc"))
    lose("truncated")
    lost = versions()[0]
    for _ in range(2):
        set_aside.fn(STATE, lost)
        assert (versions()[0].problem, versions()[0].is_current) == ("deleted", True)
    assert lost.id in {one.id for one in versions()}
    assert len(versions()) == 3
    put(state(1, "vpc", lineage="new"))
    set_aside.fn(STATE, lost)
    assert current()["lineage"] == "new"
