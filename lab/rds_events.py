"""What RDS tells about the past: events, and PostgreSQL's own log files."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.rds.exceptions import DBInstanceNotFoundError
from moto.rds.models import DBParameterGroup, Event
from moto.rds.responses import RDSResponse

from lab.extend import AWSError, operation
from lab.rds_instances import Instance, utc_now
from lab.rds_pages import page

DEFAULT_MINUTES = 60
KEPT_DAYS = 14
LINES = 10_000
PORTION_BYTES = 1024 * 1024
Find = Callable[[Any], Instance]

MESSAGES = {
    "DB_INSTANCE_RESTART": ("availability", "DB instance restarted"),
    "DB_INSTANCE_SHUTDOWN": ("availability", "DB instance shutdown"),
    "DB_INSTANCE_STOPPED": ("notification", "DB instance stopped"),
    "DB_INSTANCE_STARTED": ("notification", "DB instance started"),
    "DB_INSTANCE_DELETED": ("deletion", "DB instance deleted"),
    "DB_INSTANCE_FAILED": ("failure", "The DB instance has failed."),
    "DB_INSTANCE_INVALID_PARAMETERS": ("failure", "The DB instance has invalid parameters."),
    "DB_INSTANCE_CHANGE": ("configuration change", "Finished applying modification to DB instance"),
    "DB_INSTANCE_FAILOVER_STARTED": ("failover", "Multi-AZ instance failover started."),
    "DB_INSTANCE_FAILOVER_FINISHED": ("failover", "Multi-AZ instance failover completed"),
    "DB_INSTANCE_FAILOVER_REQUESTED": ("", "The user requested a failover of the DB instance."),
    "DB_INSTANCE_FAILOVER_UNHEALTHY": ("", "The primary host of the RDS Multi-AZ instance is unhealthy."),
    "DB_INSTANCE_FAILOVER_UNREACHABLE": (
        "",
        "The primary host of the RDS Multi-AZ instance is unreachable due to loss of network connectivity.",
    ),
    "DB_INSTANCE_RECOVERY_STARTED": (
        "recovery",
        "Recovery of the DB instance has started. Recovery time will vary with the amount of data to be recovered.",
    ),
    "DB_INSTANCE_RECOVERY_FINISHED": ("recovery", "Recovery of the DB instance is complete."),
    "DB_INSTANCE_RESTORED_SNAPSHOT": ("restoration", "Restored from snapshot"),
    "DB_INSTANCE_RESTORED_TIME": ("restoration", "Restored from DB instance"),
    "DB_INSTANCE_BACKUP_FAILED": ("backup", "The backup of the DB instance failed"),
    "DB_SNAPSHOT_FAILED": ("failure", "The snapshot failed"),
    "DB_SNAPSHOT_DELETED": ("deletion", "Deleted snapshot"),
    "DB_PARAMETER_GROUP_CHANGE": ("configuration change", "Updated parameter"),
}


def install(find: Find) -> None:
    """`find` gives the real side of a DBInstance."""
    Event.EVENT_MAP.update(
        {name: {"Categories": [one] if one else [], "Message": text} for name, (one, text) in MESSAGES.items()}
    )
    DBParameterGroup.event_source_type = "db-parameter-group"
    operation(RDSResponse, "DescribeEvents")(describe_events)

    @operation(RDSResponse, "DescribeDBLogFiles")
    def describe_log_files(self: Any) -> dict[str, Any]:
        return page(self, "DescribeDBLogFiles", _log_files(self, _require(self, find)))

    @operation(RDSResponse, "DownloadDBLogFilePortion")
    def download_log_file_portion(self: Any) -> dict[str, Any]:
        name = self._get_param("LogFileName")
        path = _require(self, find).cluster.logs / Path(name).name
        if Path(name).parent != Path("error") or not path.exists():
            raise AWSError("DBLogFileNotFoundFault", f"DBLog File: {name}, is not found on the DB instance")
        lines = self._get_int_param("NumberOfLines")
        return _portion(path, self._get_param("Marker"), LINES if lines is None else lines)


def describe_events(self: Any) -> dict[str, Any]:
    source, kind = self._get_param("SourceIdentifier"), self._get_param("SourceType")
    if source and not kind:
        raise AWSError("InvalidParameterCombination", "Cannot specify source identifier without source type")
    start, end = _interval(self)
    categories = self._get_param("EventCategories") or []
    found = [
        event
        for event in self.backend.events
        if start <= event.date <= end
        and kind in (None, event.source_type)
        and source in (None, event.source_identifier)
        and (not categories or set(categories) & set(event.event_categories))
    ]
    return page(self, "Events", found)


def _interval(self: Any) -> tuple[datetime.datetime, datetime.datetime]:
    """From StartTime on, else the last Duration minutes before EndTime; never older than AWS keeps them."""
    end = _plain(self._get_param("EndTime")) or utc_now()
    minutes = self._get_int_param("Duration", DEFAULT_MINUTES)
    start = _plain(self._get_param("StartTime")) or end - datetime.timedelta(minutes=minutes)
    if start > end:
        raise AWSError("InvalidParameterCombination", "The start time must be before the end time.")
    return max(start, utc_now() - datetime.timedelta(days=KEPT_DAYS)), end


def _plain(moment: datetime.datetime | None) -> datetime.datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _require(self: Any, find: Find) -> Instance:
    identifier = self._get_param("DBInstanceIdentifier")
    db = self.backend.databases.get(identifier)
    if db is None:
        raise DBInstanceNotFoundError(identifier)
    instance = find(db)
    if not instance.reachable:
        raise AWSError("DBInstanceNotReady", f"DB instance {identifier} is not ready")
    return instance


def _log_files(self: Any, instance: Instance) -> list[dict[str, Any]]:
    facts = {f"error/{path.name}": path.stat() for path in sorted(instance.cluster.logs.iterdir())}
    files: list[dict[str, Any]] = [
        {"LogFileName": name, "LastWritten": int(stat.st_mtime * 1000), "Size": stat.st_size}
        for name, stat in facts.items()
    ]
    contains = self._get_param("FilenameContains") or ""
    written = self._get_int_param("FileLastWritten", 0)
    size = self._get_int_param("FileSize", -1)
    return [
        file
        for file in files
        if contains in file["LogFileName"] and file["LastWritten"] >= written and file["Size"] > size
    ]


def _portion(path: Path, marker: str | None, lines: int) -> dict[str, Any]:
    """From `marker` (a byte) on, or the last `lines` without one; at most a megabyte."""
    content = path.read_bytes()
    if marker is None:
        start = len(content) - len(b"".join(content.splitlines(keepends=True)[-lines:])) if lines else len(content)
        start = max(start, len(content) - PORTION_BYTES)
        end = len(content)
    else:
        start = int(marker) if marker.isdigit() else 0
        portion = b"".join(content[start : start + PORTION_BYTES].splitlines(keepends=True)[:lines])
        end = start + len(portion)
    return {
        "LogFileData": content[start:end].decode(errors="replace"),
        "Marker": str(end),
        "AdditionalDataPending": end < len(content),
    }
