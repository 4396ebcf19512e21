"""Export a snapshot of the database to S3 as Parquet, table by table, and prove that every file can be read.

When:     for the long term, an audit or analytics: an export needs no RDS to be read.
Impact:   none on the database, RDS reads a copy of the snapshot. The whole snapshot is paid for, even in part.
Rollback: nothing to undo. The export is no residue: the bucket's lifecycle expires it after `expires_days`.

Carries out P68 (and S22). No restore can start from an export (P59 is for that).
"""

from typing import Annotated

from pydantic import Field

from tasks import export_tasks, exported_files, exported_rows
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.errors import WaitTimedOut
from tasks.export_tasks import KeptDays
from tasks.parameters import Identifier
from tasks.procedure import procedure
from tasks.report import phase, say

PART = r"^[A-Za-z0-9$_]+(\.[A-Za-z0-9$_]+){0,2}$"


@procedure
def export_snapshot(
    environment: EnvironmentName,
    snapshot: Identifier | None = None,
    tables: Annotated[list[Annotated[str, Field(pattern=PART)]], Field(max_length=100)] | None = None,
    expires_days: KeptDays = 30,
    dry_run: bool = False,
) -> str:
    """Export a snapshot; red unless every table is in S3 as a whole. Returns the name of the export.

    Args:
        environment: Whose database.
        snapshot: Which of its snapshots, manual or automated; empty takes the newest.
        tables: What to export, as database, database.schema or database.schema.table; empty takes everything.
        expires_days: After how many days the export expires.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        name = export_tasks.name_export()
        source = export_tasks.describe_source(where.db_identifier, snapshot, name)
    with phase("plan"):
        say(f"export {', '.join(tables or ['everything'])} of {source} as {name} to s3://{where.backup_bucket}")
        say(f"it expires after {expires_days} days, by the bucket's lifecycle")
    if dry_run:
        return name
    with phase("apply"):
        export = export_tasks.start_export_task(where, source, name, tuple(tables or ()), expires_days)
        try:
            export = export_tasks.wait_until_exported(export)
        except WaitTimedOut:
            export_tasks.cancel_export_task(name)
            raise
    with phase("verify"):
        contents = exported_files.read_contents(export.bucket, export.path)
        exported_files.say_contents(contents)
        exported_files.require_complete(contents, export.tables, export.warning)
        exported_rows.require_recorded_rows(where, source.id, contents, export.tables)
        say(f"all {sum(one.objects for one in contents.tables)} files below {contents.where} are readable")
    return name


if __name__ == "__main__":
    run(export_snapshot)
