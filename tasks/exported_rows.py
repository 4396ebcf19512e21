"""An export against the records that were taken around its snapshot: what did not move meanwhile has as many rows."""

from tasks import baseline, exported_files, rds
from tasks.baseline import Baseline
from tasks.environment import Environment
from tasks.exported_files import Contents
from tasks.report import say


def require_recorded_rows(
    environment: Environment, snapshot_id: str, contents: Contents, asked: tuple[str, ...]
) -> None:
    """Compare the rows with those that snapshot_database recorded before and after; other snapshots have no record.

    Args:
        asked: database[.schema[.table]] as the export was asked for; none means all.

    Raises:
        VerificationFailed: a table that did not move around the snapshot is missing, or has another number of rows.
    """
    before, after = (baseline.find_baseline(environment, f"{snapshot_id}/{when}") for when in ("before", "after"))
    if before is None or after is None:
        return say(f"there is no record of what {snapshot_id} holds: its rows were counted and not compared")
    database = rds.describe_db_instance(environment.db_identifier).database
    recorded = {f"{database}.{name}": rows for name, rows in settled_rows(before, after).items()}
    expected = {name: rows for name, rows in recorded.items() if exported_files.is_asked_for(name, asked)}
    exported_files.require_row_counts(contents, expected)
    return say(f"{len(expected)} tables, which did not move around the snapshot, have as many rows as were recorded")


def settled_rows(before: Baseline, after: Baseline) -> dict[str, int]:
    """The rows of the tables that held the same in both; RDS exports a partition with the table that it is part of."""
    return {
        name: content.total.rows
        for name, content in after.content.tables.items()
        if name in before.content.tables
        and before.content.tables[name].total == content.total
        and not _is_partition(after, name)
    }


def _is_partition(record: Baseline, name: str) -> bool:
    facts = record.catalogue.entries.get(f"table {name}", "").splitlines()
    return any(fact == "DEFAULT" or fact.startswith("FOR VALUES ") for fact in facts)
