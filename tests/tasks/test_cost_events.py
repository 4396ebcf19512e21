"""What we did beside what it may have cost: by usage type, by kind, and never more than is known."""

from datetime import UTC, datetime
from decimal import Decimal

from tasks.cost_events import BACKUPS, DATABASES, EVERYTHING, INSTANCES, Event, beside, by_kind

AT = datetime(2026, 10, 9, tzinfo=UTC)
EVENTS = (
    Event(AT, "deploy-application of demo", INSTANCES),
    Event(AT, "drill of lost-database", EVERYTHING, Decimal("0.12")),
    Event(AT, "drill of lost-instance", EVERYTHING, Decimal("0.03")),
    Event(AT, "snapshot kept of one", BACKUPS),
    Event(AT, "verification of latest", DATABASES, Decimal("0.02")),
)


def test_a_driver_names_what_may_have_moved_it() -> None:
    assert beside(["EUN1-BoxUsage:t3.micro"], EVENTS) == "deploy-application: 1, drill: 2"
    assert beside(["EUN1-InstanceUsage:db.t3.micro"], EVENTS) == "drill: 2, verification: 1"
    assert beside(["EUN1-RDS:ChargedBackupUsage", "EUN1-RDS:GP3-Storage"], EVENTS) == (
        "drill: 2, snapshot kept: 1, verification: 1"
    )
    assert beside(["EUN1-KMS-Keys"], EVENTS) == ""


def test_kinds_add_up_and_unknown_costs_are_counted_apart() -> None:
    sums = by_kind(EVENTS)
    assert list(sums) == ["drill", "verification", "deploy-application", "snapshot kept"]
    assert sums["drill"] == (2, Decimal("0.15"), 0)
    assert sums["snapshot kept"] == (1, Decimal(0), 1)
