"""A lost environment's way back as data: what its state and database come from, and what is adopted and made."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from tasks import (
    autoscaling,
    inventory_storage,
    lost_database,
    rds,
    replacement,
    state_versions,
    terraform,
    terraform_imports,
)
from tasks.environment import PROJECT, EnvironmentName
from tasks.errors import PreconditionFailed
from tasks.infrastructure import Inputs, read_inputs
from tasks.lost_database import Backup
from tasks.lost_state import Record, Way, plan_record
from tasks.report import say
from tasks.terraform_plan import HASH_DIGITS, Plan, require_additions_only


@dataclass(frozen=True)
class Recovery:
    """`plan` and the import `ids` were tried out on a copy of the state that `record` stands for."""

    inputs: Inputs
    way: Way
    record: Record
    origin: str
    backup: Backup | None
    dying: tuple[str, ...]
    plan: Plan
    ids: Mapping[str, str]

    @property
    def db_identifier(self) -> str:
        return f"{PROJECT}-{self.inputs.environment}-db"

    @property
    def is_done(self) -> bool:
        return self.record.is_sound and not (self.backup or self.dying) and self.plan.is_empty

    @property
    def hash(self) -> str:
        """Of what is decided, and of what changes in what is there: creations and imports only follow from it, so that
        a run that resumes mostly has the same."""
        decided = (self.inputs.environment, self.way, self.origin, self.inputs.variables["image"])
        updates = [str(change) for change in self.plan.changes if change.action == "update"]
        return hashlib.sha256(repr([*decided, *updates]).encode()).hexdigest()[:HASH_DIGITS]

    def lines(self) -> list[str]:
        return [
            f"state: {self.record}",
            f"database: {f'restored from {self.backup}' if self.backup else 'is there'}",
            f"image: {self.inputs.variables['image']}",
            *(f"its deletion is taken back: {arn}" for arn in self.dying),
            f"plan {self.hash}: {self.plan.counts()}",
        ]


def look(environment: EnvironmentName, way: Way, backup_id: str | None, image: str | None) -> Recovery:
    """Find out what is left and what it would become, on a private copy of the state.

    Raises:
        PreconditionFailed: there is no way back that only adds. Nothing was changed.
    """
    address = terraform.state_address(environment)
    state_versions.require_unlocked(address)
    record = plan_record(state_versions.find_versions(address), way)
    say(str(record))
    inputs = read_inputs(environment, image or _release(environment))
    origin, backup = _find_database(environment, backup_id)
    dying = inventory_storage.list_dying(environment)
    copy = state_versions.read_body(address, record.version.id).decode() if record.version else None
    with terraform.workspace(environment, inputs.variables, inputs.secrets) as rehearsal:
        terraform_imports.use_copy(rehearsal, copy)
        plan, ids = terraform_imports.plan_with_imports(rehearsal)
    require_additions_only(plan)
    return Recovery(inputs, way, record, origin, backup, dying, plan, ids)


def _release(environment: EnvironmentName) -> str | None:
    """The one that was proven last, where none runs that tells its own."""
    if autoscaling.find_group(f"{PROJECT}-{environment}-asg"):
        return None
    if last := replacement.read_last_verified(environment):
        return last
    raise PreconditionFailed(
        f"nothing runs in {PROJECT}-{environment} and no release is on record as proven, expected one to start."
        " Nothing was changed. Give its digest: --image sha256:..."
    )


def _find_database(environment: EnvironmentName, asked: str | None) -> tuple[str, Backup | None]:
    identifier = f"{PROJECT}-{environment}-db"
    db, backups = rds.find(identifier), lost_database.list_backups(identifier)
    backup = lost_database.choose_backup(identifier, db, backups, asked)
    for one in backups if backup else ():
        say(f"RDS has {one}")
    return backup.mark if backup else db.tags.get(lost_database.RESTORED_FROM, "") if db else "", backup
