"""A database that is gone altogether: which backup it comes back from, under its own name, and what that is worth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import connection
from pydantic import SecretStr

from tasks import aws, baseline, catalogue, content, db_snapshots, heartbeats, rds
from tasks.baseline import Baseline
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe
from tasks.postgres import Address, open_session
from tasks.rds import DBInstance
from tasks.report import say
from tasks.residue import as_list
from tasks.verdict import Verdict

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

ADDRESS = "module.rds.aws_db_instance.main"
# What the instance stands on, and what RDS would otherwise make itself before Terraform can.
FOUNDATION = (
    "module.vpc",
    "module.security",
    "module.rds.aws_db_subnet_group.main",
    "module.rds.aws_db_parameter_group.main",
    "module.rds.aws_cloudwatch_log_group.export",
)
# The first from its creation call until it is judged, the second from then on, for whoever wonders.
RESTORING_FROM, RESTORED_FROM = "runbook:restoring-from", "runbook:restored-from"
RETAINED = "retained automated backups"
RESTORE_SECONDS = 4 * 3600.0  # AWS: 10 to 30 minutes for a small database; a large one takes hours
STATEMENT_SECONDS = 1800.0
# Any time will do: while the environment was being lost, the application may have been down for long.
EVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Backup:
    """A snapshot, or the automated backups that RDS retained of a deleted instance.

    It holds everything up to `complete_to`, and nothing from after `latest`.
    """

    id: str
    kind: str
    complete_to: datetime
    latest: datetime
    is_snapshot: bool

    @property
    def is_retained(self) -> bool:
        """Its instance is gone."""
        return self.kind == RETAINED

    @property
    def mark(self) -> str:
        """As a tag tells it, in the few characters that RDS takes in one."""
        return f"{self.id}@{self.complete_to.isoformat()}"

    def __str__(self) -> str:
        return f"{self.kind} {self.id}, which holds everything up to {self.complete_to:%Y-%m-%d %H:%M:%S} UTC"


@probe
def list_backups(identifier: str) -> tuple[Backup, ...]:
    """Everything that the database of this name could come back from, oldest first."""
    snapshots = (
        Backup(one.id, f"{one.kind} snapshot", one.earliest, one.latest, True)
        for one in db_snapshots.list_available_snapshots.fn(identifier)
    )
    return tuple(sorted([*_automated_backups(identifier), *snapshots], key=lambda one: one.complete_to))


def choose_backup(
    identifier: str, db: DBInstance | None, backups: Sequence[Backup], asked: str | None = None
) -> Backup | None:
    """What the database comes back from: the one that is asked for by its id, else the one that holds most; the one
    that a killed run began with; None when it was not lost.

    Raises:
        PreconditionFailed: there is no such backup, or the database is about to be gone. Nothing was changed.
    """
    if db and db.status == "deleting":
        raise PreconditionFailed(f"{db} is 'deleting', expected it to be there or gone. Wait until it is gone")
    if db:
        return _begun(db, backups)
    if not backups:
        raise PreconditionFailed(
            f"RDS instance {identifier} is gone and has neither retained automated backups nor a snapshot, expected"
            " one. Nothing was changed. Look into other accounts and regions, and into the exports in S3; an empty"
            " database is built by: python -m flows.deploy_infrastructure"
        )
    named = [one for one in backups if asked in (one.id, None)]
    if not named:
        raise PreconditionFailed(
            f"RDS instance {identifier} has no backup {asked}, expected one of {', '.join(one.id for one in backups)}"
        )
    return named[-1]


@probe
def require_not_lost(environment: str) -> None:
    """For whoever would build an empty database in its place.

    Raises:
        PreconditionFailed: it is gone, and RDS has retained its backups. Nothing was changed.
    """
    identifier = f"{PROJECT}-{environment}-db"
    retained = [one for one in _automated_backups(identifier) if one.is_retained]
    if retained and rds.find(identifier) is None:
        raise PreconditionFailed(
            f"RDS instance {identifier} is gone and there are {retained[-1]}, expected none: an empty database would"
            " take its place. Nothing was changed. To have it back, run: python -m flows.recover_infrastructure"
            f" --environment {environment}. For an empty one, first give the backups up: aws rds"
            f" delete-db-instance-automated-backup --dbi-resource-id {retained[-1].id}"
        )


@action
def begin_restore(backup: Backup, wanted: Mapping[str, Any]) -> None:
    """Ask RDS for the instance, under the name and with the settings that Terraform's plan has; one that is there is
    taken as it is.

    Args:
        wanted: the planned attributes of Terraform's aws_db_instance.
    """
    client, identifier = _rds(), wanted["identifier"]
    if rds.find(identifier):
        return
    settings = {**_settings(wanted), "Tags": as_list({**wanted["tags_all"], RESTORING_FROM: backup.mark})}
    if backup.is_snapshot:
        client.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=identifier, DBSnapshotIdentifier=backup.id, **settings
        )
    else:
        client.restore_db_instance_to_point_in_time(
            TargetDBInstanceIdentifier=identifier,
            SourceDbiResourceId=backup.id,
            RestoreTime=backup.complete_to,
            MaxAllocatedStorage=wanted["max_allocated_storage"],
            **settings,
        )


@action
def wait_until_restored(identifier: str) -> DBInstance:
    """
    Raises:
        VerificationFailed: the restore ended in a state that has no way out.
    """
    return rds.wait_until_available(identifier, timeout_seconds=RESTORE_SECONDS)


@action
def accept(db: DBInstance, backup: Backup) -> None:
    """It was judged and found good: from here on it is the database, and no run takes it for one on its way."""
    _rds().add_tags_to_resource(ResourceName=db.arn, Tags=as_list({RESTORED_FROM: backup.mark}))
    _rds().remove_tags_from_resource(ResourceName=db.arn, TagKeys=[RESTORING_FROM])


@probe
def judge(db: DBInstance, password: SecretStr, backup: Backup) -> list[Verdict]:
    """What can be said of it before anybody writes into it again.

    A snapshot that `snapshot_database` took is compared row by row with the records of its content; of any other
    backup only the structure and the chain of heartbeats speak.
    """
    address = Address(db.address or "", db.settings.port, db.database, db.master_user, password)
    account = aws.client("sts").get_caller_identity()["Account"]
    bucket = f"{db.id.removesuffix('-db')}-database-backups-{account}"  # as module backups names it
    records = [_find_record(bucket, backup, when) for when in ("before", "after")]
    with open_session(address, STATEMENT_SECONDS, read_only=True) as session:
        return list(_judge(session, backup, *records))


def _judge(session: connection, backup: Backup, before: Baseline | None, after: Baseline | None) -> Iterable[Verdict]:
    yield catalogue.judge_catalogue(session, after.catalogue if after else None)
    yield heartbeats.judge_freshness(session, EVER, backup.latest).verdict
    if before and after:
        yield content.compare_around_backup(session, before.content, after.content).verdict
    else:
        say(f"{content.LAYER}: not proven, there is no record of what {backup.id} holds")


def _find_record(bucket: str, backup: Backup, when: str) -> Baseline | None:
    """None also when the bucket was lost too."""
    try:
        return baseline.find_in_bucket(bucket, f"{backup.id}/{when}") if backup.is_snapshot else None
    except aws.client("s3").exceptions.NoSuchBucket:
        return None


def _begun(db: DBInstance, backups: Sequence[Backup]) -> Backup | None:
    """The backup that it is just being restored from."""
    mark = db.tags.get(RESTORING_FROM)
    found = next((one for one in backups if one.mark == mark), None)
    if mark and not found:
        raise PreconditionFailed(
            f"{db} was restored from {mark} and never judged, and that backup is gone, expected it to be there."
            f" Nothing was changed. Judge the database yourself, and take its tag {RESTORING_FROM} away"
        )
    return found


def _automated_backups(identifier: str) -> Iterable[Backup]:
    pages = (
        _rds()
        .get_paginator("describe_db_instance_automated_backups")
        .paginate(Filters=[{"Name": "db-instance-id", "Values": [identifier]}])
    )
    for one in pages.search("DBInstanceAutomatedBackups[]"):
        if latest := one.get("RestoreWindow", {}).get("LatestTime"):
            yield Backup(one["DbiResourceId"], f"{one['Status']} automated backups", latest, latest, False)


def _settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What RDS would set to its own defaults (D04); the rest is Terraform's to set when it adopts the instance."""
    return {
        "DBInstanceClass": wanted["instance_class"],
        "DBSubnetGroupName": wanted["db_subnet_group_name"],
        "VpcSecurityGroupIds": wanted["vpc_security_group_ids"],
        "DBParameterGroupName": wanted["parameter_group_name"],
        "Port": wanted["port"],
        "StorageType": wanted["storage_type"],
        "MultiAZ": wanted["multi_az"],
        "PubliclyAccessible": wanted["publicly_accessible"],
        "EnableCloudwatchLogsExports": wanted["enabled_cloudwatch_logs_exports"],
        "AutoMinorVersionUpgrade": wanted["auto_minor_version_upgrade"],
        "BackupRetentionPeriod": wanted["backup_retention_period"],
        "PreferredBackupWindow": wanted["backup_window"],
        "CopyTagsToSnapshot": wanted["copy_tags_to_snapshot"],
        "DeletionProtection": wanted["deletion_protection"],
    }


def _rds() -> "RDSClient":
    client: RDSClient = aws.client("rds")
    return client
