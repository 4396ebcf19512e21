"""Base backups of a PostgreSQL cluster that are exact to the moment, and the recovery that starts from one."""

import datetime
import re
import shutil
import threading
from contextlib import closing
from pathlib import Path

import psycopg2

from lab.postgres import SUPERUSER, Cluster, ClusterFailedError
from lab.postgres_binaries import give_away

SEGMENT = re.compile(r"[0-9A-F]{24}")
# A commit of its own: recovery to a moment needs one behind it to stop at.
MARK = "SELECT now() FROM pg_logical_emit_message(true, 'lab', 'mark')"
# Of the segment that was closed, also where another has closed it a moment ago and there is nothing to close.
CLOSE_SEGMENT = "SELECT pg_walfile_name(pg_switch_wal() - 1)"


class Kept:
    """A folder that stays until the last of those who need it lets go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._holders = 1
        self._book = threading.Lock()

    def hold(self) -> None:
        with self._book:
            self._holders += 1

    def let_go(self) -> None:
        with self._book:
            self._holders -= 1
            unneeded = self._holders == 0
        if unneeded:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def is_shared(self) -> bool:
        return self._holders > 1


class BaseBackup(Kept):
    """A cluster's data directory with every commit until `moment`; an `exact` one can be recovered to just that."""

    def __init__(self, folder: Path, moment: datetime.datetime, *, exact: bool = True) -> None:
        super().__init__(folder)
        self.moment, self.exact = moment, exact


def mark(cluster: Cluster) -> tuple[datetime.datetime, str]:
    """Close a segment of the log: the moment up to which it and those before it hold every commit, and its name."""
    try:
        with closing(psycopg2.connect(cluster.dsn())) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(MARK)
            [(now,)] = cursor.fetchall()
            cursor.execute(CLOSE_SEGMENT)
            [(segment,)] = cursor.fetchall()
    except psycopg2.Error as error:
        raise ClusterFailedError(f"the log can't be closed: {error}") from error
    moment = now.astimezone(datetime.UTC).replace(tzinfo=None)
    # AWS's times have milliseconds; this one lies before the mark's own commit.
    return moment - datetime.timedelta(microseconds=moment.microsecond % 1000 + 1000), segment


def take(cluster: Cluster, folder: Path) -> BaseBackup:
    """A backup of the running server, with the log up to its moment."""
    where = ["-h", cluster.host, "-p", str(cluster.port), "-U", SUPERUSER, "-D", str(folder)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    give_away(folder.parent)
    cluster.run(cluster.binaries["pg_basebackup"], *where, "-X", "stream", "-c", "fast", "--no-sync")
    moment, last = mark(cluster)
    log, kept = cluster.data / "pg_wal", folder / "pg_wal"
    first = max(each.name for each in kept.iterdir() if SEGMENT.fullmatch(each.name))  # there the backup itself ends
    for each in log.iterdir():
        if SEGMENT.fullmatch(each.name) and first <= each.name <= last:
            shutil.copyfile(each, kept / each.name)
    return BaseBackup(folder, moment)


def take_cold(cluster: Cluster, folder: Path) -> BaseBackup:
    """A copy of what a stopped server left, be it cleanly stopped or crashed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    give_away(folder.parent)
    cluster.run("cp", "-a", "--reflink=auto", str(cluster.data), str(folder))
    (folder / "postmaster.pid").unlink(missing_ok=True)
    return BaseBackup(folder, datetime.datetime.now(datetime.UTC).replace(tzinfo=None), exact=False)


def copy(base: BaseBackup, folder: Path) -> BaseBackup:
    shutil.copytree(base.folder, folder, symlinks=True)
    return BaseBackup(folder, base.moment, exact=base.exact)


def recovery_to_backup(base: BaseBackup) -> dict[str, str]:
    """The settings with which a copy of `base` becomes its moment; all that it needs of the log lies in it."""
    return _recovery("false", base.moment if base.exact else None)


def recovery_to_moment(archive: Path, moment: datetime.datetime) -> dict[str, str]:
    """The settings with which a base backup from before `moment` becomes that moment, from another's archived log."""
    return _recovery(f'cp "{archive}/%f" "%p"', moment)


def _recovery(command: str, moment: datetime.datetime | None) -> dict[str, str]:
    # Not hot: it would want the parameters of the cluster that wrote the log.
    settings = {"restore_command": command, "hot_standby": "off", "recovery_target_action": "promote"}
    return settings | ({"recovery_target_time": f"{moment.isoformat(sep=' ')}+00"} if moment else {})
