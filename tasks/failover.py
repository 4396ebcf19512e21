"""A failover of the database to its standby: planned, begun once, and recognised by a run that resumes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from tasks import autoscaling, change_lock, rds, rds_events
from tasks.environment import Environment, find_parameter, forget_parameter, keep_parameter
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.rds import DBInstance
from tasks.rds_events import Event
from tasks.waiting import wait_until

MARKER = "failover"
# "Failover times are typically 60-120 seconds", longer after large transactions. RDS user guide, Multi-AZ failover.
SWAPPED_SECONDS = 1800
# A marker that no run came back for in this time tells nothing of the next failover.
MARKED = timedelta(hours=6)


@dataclass(frozen=True)
class FailoverPlan:
    environment: str
    db: str
    from_zone: str
    to_zone: str

    @property
    def hash(self) -> str:
        """Two plans with the same hash do the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return (
            f"fail {self.db} over from {self.from_zone} to its standby in {self.to_zone}: every connection ends, and"
            " nobody is served for typically 60 to 120 s; what was committed stays"
        )


@dataclass(frozen=True)
class Failover:
    """One that has been asked for, and the instances whose application is to come through it."""

    plan: FailoverPlan
    begun_at: datetime
    instance_ids: tuple[str, ...]
    run_id: str
    proven: bool = False

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "begun_at": self.begun_at.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> "Failover":
        found = json.loads(text)
        begun_at = datetime.fromisoformat(found["begun_at"])
        ids = tuple(found["instance_ids"])
        return cls(FailoverPlan(**found["plan"]), begun_at, ids, found["run_id"], found["proven"])


def plan_failover(environment: str, db: DBInstance) -> FailoverPlan:
    """
    Raises:
        PreconditionFailed: there is no standby to fail over to.
    """
    if not db.multi_az or not db.standby_zone:
        raise PreconditionFailed(
            f"{db} is {'Multi-AZ without a standby' if db.multi_az else 'Single-AZ'}, expected Multi-AZ with a standby:"
            " there is nothing to fail over to. Nothing was changed. Reboot it, restore it (recover_database), or set"
            " multi_az in terraform.tfvars"
        )
    return FailoverPlan(environment, db.id, db.zone, db.standby_zone)


def require_unmoved(plan: FailoverPlan, db: DBInstance) -> None:
    """What was approved is still what would happen."""
    if (db.zone, db.standby_zone) != (plan.from_zone, plan.to_zone):
        raise PreconditionFailed(
            f"{db} is in {db.zone} with its standby in {db.standby_zone}, expected {plan.from_zone} and {plan.to_zone}"
            " as planned: it failed over meanwhile. Nothing was changed. Plan again if it still has to move"
        )


def is_under_way(failover: Failover, db: DBInstance, events: Sequence[Event], now: datetime) -> bool:
    """Whether RDS has begun what the marker says; a run may have been killed between the two.

    The zone and the status can lag behind the events, and events can be missing: one of the three is enough.
    """
    if failover.plan.db != db.id or now - failover.begun_at > MARKED:
        return False
    return db.zone == failover.plan.to_zone or db.status == "rebooting" or rds_events.tells_of_failover(events)


def require_swapped(plan: FailoverPlan, db: DBInstance) -> None:
    if db.zone != plan.to_zone or db.standby_zone == plan.to_zone:
        raise VerificationFailed(
            f"{db} is in {db.zone} with its standby in {db.standby_zone}, expected it in {plan.to_zone}: it was"
            " restarted, not failed over. Look at its events before you try again"
        )


def require_same_instances(failover: Failover, in_service: Sequence[str]) -> None:
    """The application reconnected by itself: nobody had to replace what it runs on."""
    if gone := sorted(set(failover.instance_ids) - set(in_service)):
        raise VerificationFailed(
            f"instances {', '.join(gone)} are no longer in service after the failover, expected that the application"
            " reconnects by itself: look at the scaling activities for what ended them"
        )


@probe
def find_failover(environment: Environment) -> Failover | None:
    """The one that is under way, that no run has proven yet, or that this very run has."""
    return _find(environment)


@action
def begin_failover(environment: Environment, plan: FailoverPlan) -> Failover:
    """Ask RDS for it, once: one that an earlier run asked for is attached to."""
    if known := _find(environment):
        return known
    require_unmoved(plan, rds.describe_db_instance.fn(plan.db))
    group = autoscaling.describe_group.fn(environment.asg_name)
    begun = Failover(plan, datetime.now(UTC), tuple(one.id for one in group.in_service), change_lock.run_id())
    _mark(environment, begun)
    rds.reboot_with_failover(plan.db)
    return begun


@probe
def wait_until_swapped(plan: FailoverPlan) -> DBInstance:
    """
    Raises:
        VerificationFailed: the instance is in a state that it does not leave by itself.
        WaitTimedOut: it is not in the other zone yet.
    """

    def is_swapped(db: DBInstance) -> bool:
        if db.status in rds.HOPELESS:
            raise VerificationFailed(f"{db} is {db.status!r}, expected 'available' in {plan.to_zone}")
        return db.status == "available" and db.zone != plan.from_zone

    return wait_until(
        f"RDS instance {plan.db}",
        lambda: rds.describe_db_instance.fn(plan.db),
        is_swapped,
        timeout_seconds=SWAPPED_SECONDS,
        expected=f"'available' in {plan.to_zone}",
    )


@action
def record_proven(environment: Environment, failover: Failover) -> None:
    """The next run begins another one; this one, started again, does not."""
    _mark(environment, replace(failover, run_id=change_lock.run_id(), proven=True))


@action
def forget_failover(environment: Environment) -> None:
    """As if nobody had asked for one."""
    forget_parameter(environment.environment, MARKER)


def _mark(environment: Environment, failover: Failover) -> None:
    keep_parameter(environment.environment, MARKER, failover.to_json())


def _find(environment: Environment) -> Failover | None:
    text = find_parameter(environment.environment, MARKER)
    if text is None:
        return None
    marked = Failover.from_json(text)
    if marked.proven and marked.run_id != change_lock.run_id():
        return None
    db = rds.describe_db_instance.fn(environment.db_identifier)
    events = rds_events.find_events(environment.db_identifier, marked.begun_at)
    return marked if is_under_way(marked, db, events, datetime.now(UTC)) else None
