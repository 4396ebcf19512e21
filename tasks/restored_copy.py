"""The temporary database that a backup is restored into: beside production, with its settings, gone afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from tasks import aws, change_lock, db_snapshots, rds, residue, restore_point
from tasks.database_state import compare_with_state
from tasks.errors import PreconditionFailed, VerificationFailed, WaitTimedOut
from tasks.kinds import action, probe
from tasks.postgres import Address
from tasks.rds import DBInstance
from tasks.residue_kinds import EXPIRES_AT, MARKS, RUN_ID
from tasks.restore_point import RestorePoint
from tasks.secretsmanager import make_password
from tasks.verdict import Verdict
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

GRACE = timedelta(hours=1)  # to clean up in, before the sweeper may take the copy for residue
RESTORABLE_SECONDS = 1800.0  # AWS ships the log every five minutes
AWS_USUAL_SECONDS = 1200.0  # AWS's figure for a small database: 10 to 30 minutes
POINT, REQUESTED_AT, RESTORED_AT = "runbook:restore-point", "runbook:requested-at", "runbook:restored-at"


@dataclass(frozen=True)
class Restore:
    """What is restored, from what, and until when it may exist.

    Multi-AZ is off by choice: a copy that lives for an hour needs no standby, and its own backups are off; but for one
    that `serves_later`, as production.
    """

    source: DBInstance
    point: RestorePoint
    copy_id: str
    tags: Mapping[str, str]
    expires_at: datetime
    serves_later: bool = False

    @property
    def multi_az(self) -> bool:
        return self.serves_later and self.source.multi_az

    @property
    def zones(self) -> str:
        return "Multi-AZ" if self.multi_az else "single-AZ" if self.serves_later else "single-AZ by choice"

    @property
    def copy(self) -> str:
        """This very copy: one of the same name, made after it was removed, is another."""
        return f"{self.copy_id} of {self.tags[REQUESTED_AT]}"

    @property
    def marks(self) -> dict[str, str]:
        """What says that a thing is this run's and temporary, without what the copy has of production."""
        return {name: self.tags[name] for name in (*MARKS, residue.ENVIRONMENT)}

    @property
    def ends_at(self) -> datetime:
        return self.expires_at - GRACE

    def seconds_left(self) -> float:
        """
        Raises:
            WaitTimedOut: the window is over.
        """
        left = (self.ends_at - datetime.now(UTC)).total_seconds()
        if left <= 0:
            raise WaitTimedOut(
                f"the verification of {self.copy_id} was not done by {self.ends_at:%H:%M:%S} UTC, when its window"
                " ended; expected it to be. Nothing is proven: start it again with a longer window_minutes"
            )
        return left

    def __str__(self) -> str:
        settings = self.source.settings
        return (
            f"restore {self.source.id} from {self.point} as {self.copy_id} ({settings.instance_class}, {self.zones},"
            f" subnet group {settings.subnet_group}, security groups {', '.join(settings.security_groups)},"
            f" parameter group {settings.parameter_group}), to be gone by {self.expires_at:%Y-%m-%d %H:%M} UTC"
        )


@dataclass(frozen=True)
class Restored:
    instance: DBInstance
    seconds: float


def name_copy(source: DBInstance) -> str:
    return f"{source.id}-verify-{change_lock.short_run_id()}"


@probe
def plan_restore(
    flow: str, environment: str, source: DBInstance, asked: str, ends_at: datetime, recorded: datetime | None
) -> Restore:
    """The restore that `asked` means now, or the one that this run has already begun.

    Raises:
        PreconditionFailed: there is no such backup.
    """
    copy_id, now = name_copy(source), datetime.now(UTC)
    begun = rds.find(copy_id)
    if begun and begun.tags.get(RUN_ID) == change_lock.run_id():
        asked, ends_at = begun.tags[POINT], datetime.fromisoformat(begun.tags[EXPIRES_AT]) - GRACE
    point = restore_point.choose(
        asked,
        db_snapshots.list_available_snapshots.fn(source.id),
        db_snapshots.describe_restore_window.fn(source.id),
        now,
        seed=change_lock.run_id(),
        recorded=recorded,
    )
    tags = {
        **residue.tags(flow, ends_at + GRACE, environment),
        POINT: point.snapshot.id if point.snapshot else point.latest.isoformat(),
        REQUESTED_AT: now.isoformat(),
    }
    return Restore(source, point, copy_id, {**tags, **(begun.tags if begun else {})}, ends_at + GRACE)


@probe
def wait_until_restorable(restore: Restore) -> None:
    """A point of the last minutes can be restored when RDS has shipped its log."""
    if (time := restore.point.time) is None or restore.source.status == rds.GONE:
        return
    wait_until(
        f"the restore window of {restore.source.id}",
        lambda: db_snapshots.describe_restore_window.fn(restore.source.id),
        lambda window: window.latest >= time,
        timeout_seconds=min(RESTORABLE_SECONDS, restore.seconds_left()),
        expected=f"one that reaches {time.isoformat()}",
    )


@action
def begin_restore(restore: Restore) -> None:
    """Ask RDS for the copy; one that this run has already asked for is taken as it is.

    Raises:
        PreconditionFailed: RDS can't begin: the backup is gone, the account is full, or the name is somebody else's.
    """
    if rds.find(restore.copy_id):
        _require_own(restore)
        return
    client = _rds()
    refusals = (
        client.exceptions.DBSnapshotNotFoundFault,
        client.exceptions.InvalidDBSnapshotStateFault,
        client.exceptions.InstanceQuotaExceededFault,
        client.exceptions.StorageQuotaExceededFault,
        client.exceptions.PointInTimeRestoreNotEnabledFault,
    )
    try:
        _ask(client, restore)
    except client.exceptions.DBInstanceAlreadyExistsFault:
        _require_own(restore)  # a retried request whose first answer was lost
    except refusals as error:
        raise PreconditionFailed(f"RDS would not {restore}: {error}. Nothing was restored") from error


@action
def wait_until_restored(restore: Restore, usual_seconds: float | None) -> Restored:
    """The copy, and how long its restore took: a tag remembers it for a run that resumes.

    Raises:
        VerificationFailed: the restore ended in a state that has no way out, such as incompatible-restore.
        WaitTimedOut: it is not available in time.
    """
    try:
        copy = rds.wait_until_available(
            restore.copy_id,
            timeout_seconds=restore.seconds_left(),
            usual_seconds=usual_seconds or AWS_USUAL_SECONDS,
        )
    except VerificationFailed as error:
        raise VerificationFailed(f"{error}. RDS says: {_last_event(restore.copy_id)}") from error
    if RESTORED_AT not in copy.tags:
        now = datetime.now(UTC).isoformat()
        _rds().add_tags_to_resource(ResourceName=copy.arn, Tags=[{"Key": RESTORED_AT, "Value": now}])
        copy = rds.describe_db_instance.fn(restore.copy_id)
    requested, restored = (datetime.fromisoformat(copy.tags[name]) for name in (REQUESTED_AT, RESTORED_AT))
    return Restored(copy, (restored - requested).total_seconds())


@action
def open_copy(copy: DBInstance, password: SecretStr | None = None) -> Address:
    """Give the copy's master user a password that only this process knows. A run that resumes gives it another.

    Args:
        password: another than that: production's, for a copy that takes its place.
    """
    password = password or make_password()
    rds.change_master_password(copy.id, password)
    return Address(copy.address or "", copy.settings.port, copy.database, copy.master_user, password)


@probe
def judge_instance(environment: str, restore: Restore) -> Verdict:
    """L0: the instance is what production is, and Terraform's state says, but for what was chosen otherwise."""
    copy = rds.find(restore.copy_id)
    if copy is None:
        return Verdict("L0 instance", (f"RDS instance {restore.copy_id} is gone, expected it to be there",))
    reasons = [f"{what} is {seen!r}, expected {wanted!r}" for what, seen, wanted in _compared(restore, copy)]
    if copy.parameters != "in-sync":
        reasons.append(f"the parameter group is {copy.parameters!r}, expected 'in-sync'")
    if not copy.encrypted:
        reasons.append("the storage is not encrypted, expected it to be")
    drifted, compared = compare_with_state(environment, restore.source)
    facts = (
        f"PostgreSQL {copy.engine_version} on {copy.settings.instance_class}, {copy.storage_gib} GiB, encrypted with"
        f" {copy.kms_key or 'no key'}",
        f"{restore.zones}; production is {'Multi-AZ' if restore.source.multi_az else 'single-AZ'}",
        compared,
    )
    return Verdict("L0 instance", (*reasons, *drifted), facts)


def _ask(client: "RDSClient", restore: Restore) -> None:
    settings = restore.source.settings
    wanted: dict[str, Any] = {
        "DBInstanceClass": settings.instance_class,
        "DBSubnetGroupName": settings.subnet_group,
        "VpcSecurityGroupIds": list(settings.security_groups),
        "DBParameterGroupName": settings.parameter_group,
        "Port": settings.port,
        "StorageType": settings.storage_type,
        "EnableIAMDatabaseAuthentication": settings.iam_authentication,
        "PubliclyAccessible": settings.publicly_accessible,
        "EnableCloudwatchLogsExports": list(settings.log_exports),
        "AutoMinorVersionUpgrade": False,
        "MultiAZ": restore.multi_az,
        "BackupRetentionPeriod": restore.source.backup_retention_days if restore.serves_later else 0,
        "DeletionProtection": False,
        "CopyTagsToSnapshot": restore.serves_later,
        "Tags": residue.as_list(restore.tags),
    }
    if restore.point.snapshot:
        client.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=restore.copy_id, DBSnapshotIdentifier=restore.point.snapshot.id, **wanted
        )
    else:
        source = restore.source
        of_source: Any = {"SourceDBInstanceIdentifier": source.id}
        client.restore_db_instance_to_point_in_time(
            TargetDBInstanceIdentifier=restore.copy_id,
            **({"SourceDbiResourceId": source.resource_id} if source.status == rds.GONE else of_source),
            RestoreTime=restore.point.latest,
            **wanted,
        )


def _require_own(restore: Restore) -> None:
    found = rds.find(restore.copy_id)
    if found is None or found.tags.get(RUN_ID) != restore.tags[RUN_ID]:
        raise PreconditionFailed(
            f"there is already an RDS instance {restore.copy_id} and it is not of this run, expected the name to be"
            " free. Look whose it is; sweep_residue removes what a dead run left"
        )


def _compared(restore: Restore, copy: DBInstance) -> list[tuple[str, Any, Any]]:
    """Each setting that differs: its name, what the copy has, and what production or the snapshot has."""
    made_from = restore.point.snapshot or restore.source
    settings = vars(restore.source.settings)
    pairs = {
        **{name: (value, settings[name]) for name, value in vars(copy.settings).items()},
        "engine_version": (copy.engine_version, made_from.engine_version),
        "kms_key": (copy.kms_key, made_from.kms_key),
        "storage_gib": (copy.storage_gib, made_from.storage_gib),
    }
    return [(name, seen, wanted) for name, (seen, wanted) in pairs.items() if seen != wanted]


def _last_event(identifier: str) -> str:
    found = _rds().describe_events(SourceType="db-instance", SourceIdentifier=identifier, Duration=24 * 60)["Events"]
    return found[-1]["Message"] if found else "nothing"


def _rds() -> "RDSClient":
    client: RDSClient = aws.client("rds")
    return client
