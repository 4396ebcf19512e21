"""What a failover needs, how one that was begun is recognised, and when it was none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks import failover
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.failover import MARKED, Failover, FailoverPlan
from tasks.rds_events import Event
from tests.tasks.test_evidence import DB

A, B = "eu-north-1a", "eu-north-1b"
NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)
PLAN = FailoverPlan("prod", "db", A, B)
BEGUN = Failover(PLAN, NOW, ("i-1", "i-2"), "a-run")
SWAPPED = replace(DB, zone=B, standby_zone=A)


def test_the_plan_goes_to_the_zone_of_the_standby() -> None:
    assert failover.plan_failover("prod", DB) == PLAN
    assert PLAN.hash != replace(PLAN, to_zone=A).hash


@pytest.mark.parametrize("changes", [{"multi_az": False}, {"standby_zone": None}])
def test_without_a_standby_there_is_nothing_to_fail_over_to(changes: dict[str, object]) -> None:
    with pytest.raises(PreconditionFailed, match="expected Multi-AZ with a standby"):
        failover.plan_failover("prod", replace(DB, **changes))  # type: ignore[arg-type]


def test_an_instance_that_moved_meanwhile_is_not_moved_again() -> None:
    failover.require_unmoved(PLAN, DB)
    with pytest.raises(PreconditionFailed, match="it failed over meanwhile"):
        failover.require_unmoved(PLAN, SWAPPED)


def test_only_the_planned_zone_counts_as_failed_over() -> None:
    failover.require_swapped(PLAN, SWAPPED)
    for wrong in (DB, replace(DB, zone="eu-north-1c"), replace(SWAPPED, standby_zone=B)):
        with pytest.raises(VerificationFailed, match="it was restarted, not failed over"):
            failover.require_swapped(PLAN, wrong)


def test_an_instance_that_was_replaced_did_not_reconnect() -> None:
    failover.require_same_instances(BEGUN, ["i-2", "i-1", "i-new"])
    with pytest.raises(VerificationFailed, match="i-2 are no longer in service"):
        failover.require_same_instances(BEGUN, ["i-1", "i-new"])


TOLD = (Event(NOW, "Multi-AZ instance failover started."),)
OTHER = (Event(NOW, "Backing up DB instance"),)


@pytest.mark.parametrize(
    ("db", "events", "minutes", "known"),
    [
        (DB, (), 0, False),  # killed between the marker and the request
        (DB, OTHER, 1, False),
        (replace(DB, status="rebooting"), (), 0, True),
        (DB, TOLD, 1, True),  # neither zone nor status show it yet, or any more
        (SWAPPED, (), 1, True),
        (SWAPPED, (), MARKED.total_seconds() / 60 + 1, False),
        (replace(SWAPPED, id="another"), TOLD, 1, False),
    ],
)
def test_a_failover_is_under_way_when_status_zone_or_events_show_it(
    db: object, events: tuple[Event, ...], minutes: float, known: bool
) -> None:
    assert failover.is_under_way(BEGUN, db, events, NOW + timedelta(minutes=minutes)) is known  # type: ignore[arg-type]


def test_a_marker_is_read_as_it_was_written() -> None:
    assert Failover.from_json(BEGUN.to_json()) == BEGUN
