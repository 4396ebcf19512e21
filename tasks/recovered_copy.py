"""The instance that production is recovered into: a temporary copy until it is verified, and kept from then on."""

from datetime import UTC, datetime, timedelta

from tasks import rds, residue
from tasks.database_recovery import RECOVERY, Recovery
from tasks.errors import VerificationFailed
from tasks.kinds import action, probe
from tasks.production_database import choose_point
from tasks.rds import DBInstance
from tasks.residue_kinds import EXPIRES_AT, FLOW, MARKS, RUN_ID
from tasks.restored_copy import GRACE, POINT, REQUESTED_AT, Restore

NAME = "recover-database"
MADE_BY_US = "runbook:"


@probe
def find_copy(recovery: Recovery) -> DBInstance | None:
    """The recovered instance, by whatever name."""
    return rds.find_by_resource_id(recovery.copy) if recovery.copy else rds.find(recovery.copy_id)


@probe
def plan_restore(recovery: Recovery, source: DBInstance, window: timedelta) -> Restore:
    """With production's tags, standby and backups; marked as temporary, so that no killed run leaves it for ever."""
    now = datetime.now(UTC)
    point, ends_at = choose_point.fn(source, recovery.point, now), now + window
    begun = rds.find(recovery.copy_id)
    of_production = {key: value for key, value in source.tags.items() if not key.startswith(MADE_BY_US)}
    tags = {
        **of_production,
        **residue.tags(NAME, ends_at + GRACE, recovery.environment),
        POINT: point.snapshot.id if point.snapshot else point.latest.isoformat(),
        REQUESTED_AT: begun.tags[REQUESTED_AT] if begun and REQUESTED_AT in begun.tags else now.isoformat(),
        RECOVERY: recovery.id,
    }
    return Restore(source, point, recovery.copy_id, tags, ends_at + GRACE, serves_later=True)


@action
def take_over(recovery: Recovery, restore: Restore) -> None:
    """What another run of this recovery asked for belongs to this run now, and does not expire under its hands."""
    found = rds.find(recovery.copy_id)
    if found and found.tags.get(RECOVERY) == recovery.id and found.tags.get(RUN_ID):
        rds.tag(found, {name: restore.tags[name] for name in (RUN_ID, FLOW, EXPIRES_AT)})


@action
def keep(recovery: Recovery) -> DBInstance:
    """Nobody takes it for residue any more, and it is kept up and protected as production was."""
    found = find_copy.fn(recovery)
    if found is None:
        raise VerificationFailed(
            f"the recovered instance {recovery.copy_id} is gone, expected it to be kept. Production serves as before:"
            f" python -m flows.undo_recovery --environment {recovery.environment}, then start this again"
        )
    source = rds.find_by_resource_id(recovery.source)
    wanted = rds.describe_upkeep(source.id) if source else {"DeletionProtection": recovery.is_protected}
    has = rds.describe_upkeep(found.id)
    if missing := {name: value for name, value in wanted.items() if has.get(name) != value}:
        rds.modify(found, **missing)
    rds.untag(found, MARKS)
    return rds.wait_until_available(found.id)


@action
def remove(recovery: Recovery) -> None:
    """Mark it as temporary, whoever began it, and let it go with its backups: nobody ever wrote into it for users."""
    found = find_copy.fn(recovery)
    if found is None:
        return
    if found.deletion_protection:
        rds.modify(found, DeletionProtection=False)
        rds.wait_until_available(found.id)
    rds.tag(found, residue.tags(NAME, datetime.now(UTC), recovery.environment))
    (one,) = (one for one in residue.find_own.fn(recovery.environment) if one.id == found.id)
    residue.remove.fn(one)
