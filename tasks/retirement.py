"""The end of an instance that a recovery kept aside: dated, with a final snapshot that is proven to be there."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime

from tasks import aws, db_snapshots, rds, secretsmanager
from tasks.database_recovery import RETIRE_AFTER
from tasks.database_state import find_resource_id
from tasks.environment import PROJECT, Environment
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.rds import DBInstance
from tasks.residue import ENVIRONMENT
from tasks.waiting import wait_until

DELETED_SECONDS = 3600


@dataclass(frozen=True)
class Retirement:
    """`resource_id` is empty when the instance is gone already."""

    instance: str
    resource_id: str
    keeps_backups: bool
    retire_after: str

    @property
    def snapshot_id(self) -> str:
        return f"{self.instance}-final"

    @property
    def hash(self) -> str:
        """Two plans with the same hash do the same."""
        return hashlib.sha256(f"{self.instance} {self.resource_id}".encode()).hexdigest()[:12]

    def __str__(self) -> str:
        kept = "keep its automated backups" if self.keeps_backups else "it has no automated backups"
        return f"delete RDS instance {self.instance} ({self.resource_id}) after snapshot {self.snapshot_id}; {kept}"


@probe
def plan_retirement(environment: Environment, instance: str) -> Retirement:
    """
    Raises:
        PreconditionFailed: it serves, was never put aside, or its day has not come.
    """
    db = rds.find(instance)
    if db is None:
        if db_snapshots.find_snapshot(f"{instance}-final"):
            return Retirement(instance, "", False, "")
        raise PreconditionFailed(
            f"there is neither an RDS instance {instance} nor its snapshot {instance}-final, expected one of them"
        )
    value = secretsmanager.read_value(secretsmanager.secret_name(environment.environment)) or {}
    serves = {environment.db_identifier, f"{PROJECT}-{environment.environment}-db"}
    require_retirable(
        db,
        serves=db.id in serves or db.address == value.get("host"),
        in_state=db.resource_id == find_resource_id(environment.environment),
        environment=environment.environment,
        today=datetime.now(UTC).date(),
    )
    return Retirement(db.id, db.resource_id, db.backup_retention_days > 0, db.tags[RETIRE_AFTER])


def require_retirable(db: DBInstance, *, serves: bool, in_state: bool, environment: str, today: date) -> None:
    """
    Raises:
        PreconditionFailed: with the reason. Nothing was changed.
    """
    if serves or in_state:
        where = "serves production" if serves else "is in Terraform's state"
        raise PreconditionFailed(f"{db} {where}, expected one that a recovery put aside. It is not deleted here")
    if db.tags.get(ENVIRONMENT, environment) != environment:
        raise PreconditionFailed(f"{db} is of {db.tags[ENVIRONMENT]}, expected one of {environment}")
    day = db.tags.get(RETIRE_AFTER)
    if day is None:
        raise PreconditionFailed(
            f"{db} has no tag {RETIRE_AFTER}, expected the one that recover_database gives to what it puts aside"
        )
    if today <= date.fromisoformat(day):
        raise PreconditionFailed(f"{db} is kept until {day} has passed, expected a day after it. Today is {today}")


@action
def take_final_snapshot(retirement: Retirement, environment: str) -> None:
    """It carries no expiry: nothing but a person removes it."""
    if db_snapshots.find_snapshot(retirement.snapshot_id) is None:
        db_snapshots.create_db_snapshot.fn(retirement.instance, retirement.snapshot_id, {ENVIRONMENT: environment})


@action
def delete(retirement: Retirement) -> None:
    """Without another snapshot: the proven one is of the same rows, since nobody writes there."""
    db = rds.find_by_resource_id(retirement.resource_id)
    if db is None or db.status == "deleting":
        return
    if db.deletion_protection:
        rds.modify(db, DeletionProtection=False)
    rds.wait_until_available(db.id)
    how = {"SkipFinalSnapshot": True, "DeleteAutomatedBackups": False}
    aws.client("rds").delete_db_instance(DBInstanceIdentifier=db.id, **how)


@probe
def wait_until_gone(retirement: Retirement) -> None:
    wait_until(
        f"RDS instance {retirement.instance}",
        lambda: rds.find_by_resource_id(retirement.resource_id),
        lambda db: db is None,
        timeout_seconds=DELETED_SECONDS,
        expected="it to be gone",
    )


@probe
def require_kept(retirement: Retirement) -> str:
    """
    Raises:
        VerificationFailed: the final snapshot is not there, or the automated backups went with the instance.
    """
    snapshot = db_snapshots.find_snapshot(retirement.snapshot_id)
    if snapshot is None or snapshot.status != "available":
        raise VerificationFailed(f"snapshot {retirement.snapshot_id} is {snapshot}, expected it to be available")
    if retirement.resource_id and retirement.keeps_backups and not db_snapshots.find_retained(retirement.instance):
        raise VerificationFailed(f"{retirement.instance} left no automated backups, expected them to be retained")
    return f"{snapshot} is {snapshot.status}"
