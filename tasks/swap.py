"""Who serves: the names of two instances are swapped, and the application's secret says where its database is."""

from tasks import aws, rds, secretsmanager
from tasks.database_recovery import RECOVERY, RETIRE_AFTER, Recovery
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.rds import AVAILABLE_SECONDS, DBInstance
from tasks.secretsmanager import secret_name
from tasks.waiting import wait_until


@probe
def settle(resource_id: str) -> DBInstance:
    """This very instance, by whatever name, as soon as nothing is done to it."""
    return _wait_until_settled(resource_id)


@action
def rename(resource_id: str, name: str) -> DBInstance:
    """Give this very instance the name, and wait; one that has it, or is just getting it, is taken as it is.

    Raises:
        PreconditionFailed: somebody else has the name.
        VerificationFailed: the instance is gone.
    """
    db = _wait_until_settled(resource_id)
    if db.id != name:
        client = aws.client("rds")
        try:
            rds.modify(db, NewDBInstanceIdentifier=name)
        except client.exceptions.DBInstanceAlreadyExistsFault as error:
            raise PreconditionFailed(
                f"{db} can't be renamed to {name}: there is another instance of that name, expected it to be free."
                " Look whose it is and rename it by hand, then start this again"
            ) from error
    return _wait_until_settled(resource_id, name)


@action
def point_secret(environment: str, db: DBInstance) -> None:
    """The application finds its database there from its next look on; user and password stay."""
    name = secret_name(environment)
    value = secretsmanager.read_value(name)
    if value is None:
        raise PreconditionFailed(f"there is no secret {name}, expected the one that the application reads")
    wanted = {**value, "host": db.address, "port": db.settings.port}
    if wanted != value:
        tags = {"Project": PROJECT, "Environment": environment}
        secretsmanager.write_value(name, f"Address and credentials of {db.id}", wanted, tags)


@action
def keep_aside(resource_id: str, recovery: Recovery) -> DBInstance:
    """The instance that no longer serves: dated, and protected until that day."""
    db = _wait_until_settled(resource_id)
    rds.tag(db, {RECOVERY: recovery.id, RETIRE_AFTER: recovery.retire_after})
    if not db.deletion_protection:
        rds.modify(db, DeletionProtection=True)
    return _wait_until_settled(resource_id)


@action
def serve_again(resource_id: str, recovery: Recovery) -> DBInstance:
    """Take that back."""
    db = _wait_until_settled(resource_id)
    rds.untag(db, (RECOVERY, RETIRE_AFTER))
    if db.deletion_protection != recovery.is_protected:
        rds.modify(db, DeletionProtection=recovery.is_protected)
    return _wait_until_settled(resource_id)


def _wait_until_settled(resource_id: str, name: str | None = None) -> DBInstance:
    def is_settled(db: DBInstance | None) -> bool:
        if db is None:
            return False  # between two names it may be shown under none
        if db.status in rds.HOPELESS:
            raise VerificationFailed(f"{db} is {db.status!r}, expected 'available'. Look at its events")
        return db.status == "available" and not db.pending and name in (None, db.id)

    found = wait_until(
        f"RDS instance {resource_id}" + (f", to be called {name}" if name else ""),
        lambda: rds.find_by_resource_id(resource_id),
        is_settled,
        timeout_seconds=AVAILABLE_SECONDS,
        expected="'available' with nothing pending",
    )
    assert found is not None  # noqa: S101 - is_settled has said so
    return found
