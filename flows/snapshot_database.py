"""Snapshot the database: named, tagged, waited for, with a record of its content to verify it by later.

When:     before anything risky - a migration, an upgrade, a change by hand; and whenever a backup must be provable.
Impact:   a short pause of I/O on a single-AZ database while the snapshot begins, none on Multi-AZ. Its content is read
          once before and once after by one connection that gives way when the database suffers.
Rollback: nothing to undo. The snapshot goes by itself when it expires (sweep_residue).

Carries out P67 (and N02's baseline, N05).
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from tasks import baseline, db_snapshots, rds, residue
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.procedure import procedure
from tasks.report import phase, say

NAME = "snapshot-database"


@procedure
def snapshot_database(
    environment: EnvironmentName,
    reason: Annotated[str, Field(min_length=3, max_length=100, pattern=r"^[\w .:/=+@-]+$")],
    keep_days: Annotated[int, Field(ge=1, le=365)] = 35,
    dry_run: bool = False,
) -> str:
    """Take a snapshot of the database that verify_backup can compare row by row; returns its identifier.

    Args:
        environment: Whose database.
        reason: Why it is taken; part of its name, and a tag.
        keep_days: After how many days it may be removed.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        source = rds.settle(where.db_identifier)
    with phase("plan"):
        expires_at = datetime.now(UTC) + timedelta(days=keep_days)
        snapshot_id = db_snapshots.name_snapshot(source.id, reason)
        say(f"snapshot {source.id} as {snapshot_id}, to be kept until {expires_at:%Y-%m-%d}")
    if dry_run:
        return snapshot_id
    with phase("apply"):
        before = baseline.record_baseline(where, f"{snapshot_id}/before")
        tags = {**residue.tags(NAME, expires_at, environment), "runbook:reason": reason}
        db_snapshots.create_db_snapshot(source.id, snapshot_id, tags)
        snapshot = db_snapshots.wait_until_snapshot_available(snapshot_id)
        baseline.record_baseline(where, f"{snapshot_id}/after", before=before)
    with phase("verify"):
        say(f"{snapshot} is {snapshot.status}")
        db_snapshots.require_usable(snapshot, source.id, encrypted=source.encrypted)
    return snapshot_id


if __name__ == "__main__":
    run(snapshot_database)
