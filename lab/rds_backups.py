"""What RDS keeps of one DB instance so that it can be restored to any moment: base backups and the archived log."""

import copy
import datetime
import re
import secrets
import string
import time
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow

from lab.base_backup import SEGMENT, BaseBackup, Kept

START_SEGMENT = re.compile(r"START WAL LOCATION: .*\(file ([0-9A-F]{24})\)")


class AutomatedBackups:
    """The automated backups of one DB instance; they may outlive it. Read and written with the lab's lock held."""

    def __init__(self, db: Any, root: Path, backend: Any = None) -> None:
        """`backend` is moto's RDS of the Region in which they are, if it is not the instance's own."""
        self.db, self.backend = db, backend or db.backend
        region = self.backend.region_name
        self.arn = f"arn:{db.partition}:rds:{region}:{db.account_id}:auto-backup:ab-{_random_name()}"
        self.folder = root / "backups"
        self.archive = Kept(root / "archive")
        self.bases: list[BaseBackup] = []  # oldest first
        self.latest: datetime.datetime | None = None  # up to here all is in the archive
        self.retained = self.ended = False
        self.replicas: list[AutomatedBackups] = []  # in other Regions
        # time.monotonic() before which nothing is tried again.
        self.next_backup = self.next_shipping = 0.0
        self.shipping = False

    @property
    def exist(self) -> bool:
        return self.retained or bool(self.db.backup_retention_period)

    @property
    def status(self) -> str:
        return "retained" if self.retained else "active" if self.window else "creating"

    @property
    def window(self) -> tuple[datetime.datetime, datetime.datetime] | None:
        """From when to when the instance can be restored to."""
        if not self.bases or self.latest is None or not self.exist:
            return None
        return self.bases[0].moment, max(self.latest, self.bases[0].moment)

    @property
    def replications(self) -> list[dict[str, str]]:
        """Where they are being copied to, as AWS tells it."""
        return [{"DBInstanceAutomatedBackupsArn": each.arn} for each in self.replicas if not each.retained]

    @property
    def snapshots(self) -> dict[str, Any]:
        """moto's automated snapshots of the instance."""
        return {
            name: each
            for name, each in self.db.backend.database_snapshots.items()
            if each.dbi_resource_id == self.db.dbi_resource_id and each.snapshot_type == "automated"
        }

    def base_for(self, moment: datetime.datetime) -> BaseBackup:
        """The newest base backup that is not from after `moment`: an older one would only replay more."""
        return [base for base in self.bases if base.moment <= moment][-1]

    def is_due(self, now: datetime.datetime) -> bool:
        if not self.db.backup_retention_period or time.monotonic() < self.next_backup:
            return False
        opened = window_opening(self.db.preferred_backup_window, now)
        return not self.bases or (opened is not None and self.bases[-1].moment < opened)

    def expire(self, now: datetime.datetime) -> None:
        """Let go of what is older than the retention period, save for what its first moment starts from."""
        oldest = now - datetime.timedelta(days=self.db.backup_retention_period or 0)
        while len(self.bases) > 1 and self.bases[1].moment <= oldest and not self.archive.is_shared:
            self._drop(self.bases[0])
            self._prune(first_segment(self.bases[0]))

    def clear(self) -> None:
        """End them, as a retention period of 0 days does."""
        for base in list(self.bases):
            self._drop(base)
        for name in self.snapshots:
            del self.db.backend.database_snapshots[name]
        self.latest = None
        self.next_backup = 0.0
        if not self.archive.is_shared:
            self._prune("F" * 24)

    def retain(self) -> None:
        """The instance goes and they stay, save for one that was just being taken."""
        for name, snapshot in self.snapshots.items():
            if snapshot.base_backup is None:
                del self.db.backend.database_snapshots[name]
        self.db = copy.copy(self.db)
        self.retained = True

    def end(self) -> None:
        self.clear()
        self.archive.let_go()
        self.ended = True

    def require_readable(self) -> None:
        """Raise what AWS answers when they can't be decrypted."""

    def _drop(self, base: BaseBackup) -> None:
        self.bases.remove(base)
        for name, snapshot in self.snapshots.items():
            if snapshot.base_backup is base:
                del self.db.backend.database_snapshots[name]
        base.let_go()

    def _prune(self, first: str) -> None:
        """Remove the segments of the log from before `first`."""
        for each in self.archive.folder.glob("*"):
            if SEGMENT.match(each.name) and each.name[:24] < first:
                each.unlink(missing_ok=True)


def first_segment(base: BaseBackup) -> str:
    """Where the log begins that a recovery from this backup needs."""
    found = START_SEGMENT.search((base.folder / "backup_label").read_text())
    return found[1] if found else ""


def window_opening(window: str, now: datetime.datetime) -> datetime.datetime | None:
    """When the daily `window` (hh:mm-hh:mm) opened that `now` lies in, if it does."""
    start, end = (int(moment[:2]) * 60 + int(moment[3:]) for moment in window.split("-"))
    since = (now.hour * 60 + now.minute - start) % (24 * 60)
    if since >= (end - start) % (24 * 60):
        return None
    return now.replace(second=0, microsecond=0) - datetime.timedelta(minutes=since)


def new_backup_name(db: Any) -> str:
    return f"rds:{db.db_instance_identifier}-{utcnow():%Y-%m-%d-%H-%M}"


def _random_name() -> str:
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26))
