"""What a recovery stands on: a sound state is kept, a lost one comes back as asked, and nothing is guessed."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.errors import PreconditionFailed
from tasks.lost_state import Way, plan_record
from tasks.state_versions import DELETED, StateVersion

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def version(number: int, problem: str | None = None, resources: int = 3, *, is_current: bool = False) -> StateVersion:
    addresses = frozenset(f"aws_vpc.main[{n}]" for n in range(resources))
    known = {} if problem else {"lineage": "one", "addresses": addresses, "digest": str(number)}
    return StateVersion(
        f"v{number}",
        NOW + timedelta(hours=number),
        is_current,
        100,
        serial=0 if problem else number,
        problem=problem,
        **known,  # type: ignore[arg-type]
    )


GOOD, OLDER = version(2), version(1)
CORRUPT, GONE = version(3, "corrupt: ValueError", is_current=True), version(3, DELETED, is_current=True)


@pytest.mark.parametrize("way", ["keep", "backup", "inventory"])
def test_a_sound_state_is_kept_whatever_was_asked(way: Way) -> None:
    record = plan_record([version(3, is_current=True), GOOD], way)
    assert record.is_sound
    assert record.version
    assert record.version.id == "v3"


@pytest.mark.parametrize(("current", "seen"), [(CORRUPT, "corrupt"), (GONE, "deleted")])
def test_a_lost_state_is_not_kept_and_the_way_out_is_named(current: StateVersion, seen: str) -> None:
    with pytest.raises(PreconditionFailed, match=rf"{seen}.*--state backup \(version v2"):
        plan_record([current, GOOD, OLDER], "keep")


def test_without_a_good_version_only_an_inventory_helps() -> None:
    for versions in ([], [CORRUPT]):
        for way in ("keep", "backup"):
            with pytest.raises(PreconditionFailed, match="--state inventory"):
                plan_record(versions, way)  # type: ignore[arg-type]


def test_the_newest_good_version_that_knows_anything_comes_back() -> None:
    record = plan_record([CORRUPT, version(2, resources=0), OLDER], "backup")
    assert record.restore
    assert record.restore.version is OLDER
    assert not record.is_sound


def test_an_inventory_sets_aside_only_what_is_there() -> None:
    assert plan_record([CORRUPT, GOOD], "inventory").lost is CORRUPT
    assert plan_record([GONE, GOOD], "inventory").lost is None
    assert plan_record([], "inventory").lost is None
