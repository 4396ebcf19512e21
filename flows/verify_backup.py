"""Verify a backup: restore it beside production, compare everything, show that a lie would be noticed, remove it all.

When:     monthly by itself, and whenever somebody asks whether the backups are any good.
Impact:   none on production but one reading connection that gives way when the database suffers. A second database
          instance is paid for while the run lasts.
Rollback: nothing to undo. What the run makes is removed at its end, also when it fails; after a kill the same run goes
          on where it was, or sweep_residue removes what is left.

Carries out P24, P59 and P60 up to 'verified', P66 (and D04, D10, D12, N02, N03, N05).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from tasks import baseline, content_baseline, evidence, rds, residue, restored_copy, verification
from tasks import change_lock as lock
from tasks.backup_policy import judge_policy
from tasks.command_line import run
from tasks.environment import Environment, EnvironmentName, describe_environment
from tasks.evidence import Evidence
from tasks.parameters import Identifier
from tasks.procedure import procedure
from tasks.rds import DBInstance
from tasks.report import phase, say
from tasks.restore_point import NOW
from tasks.restored_copy import Restore
from tasks.verdict import Verdict, require_good
from tasks.verification import Depth

NAME = "verify-backup"


@procedure
def verify_backup(
    environment: EnvironmentName,
    point: Identifier = "latest-snapshot",
    depth: Depth = "full",
    mutants: bool = True,
    allow_deleted: bool = False,
    window_minutes: Annotated[float, Field(gt=0, le=1440)] = 240,
    dry_run: bool = False,
) -> str:
    """Restore a backup into a temporary instance, verify it in six layers, and remove the instance.

    Args:
        environment: Whose backup.
        point: latest-snapshot; now (a moment that is recorded first, the strongest proof); random (any point in time
            that can be restored); the identifier of a snapshot; or a point in time such as 2026-11-24T09:30:00Z.
        depth: quick is the instance, its catalogue and its freshness; content adds every row; full the expectations
            and the application; signed also compares SHA-256 sums, for the point "now".
        mutants: Also show that ten planted corruptions of the copy are noticed.
        allow_deleted: Where only production of today can be compared with, take rows that it lacks for deleted since.
        window_minutes: How long the verification may take, the restore included.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        source = rds.settle(where.db_identifier)
        found = evidence.find(where, lock.run_id())
    if found is None or found.copy:
        with phase("plan"):
            ends_at = datetime.now(UTC) + timedelta(minutes=window_minutes)
            moment = _record_moment(where, source, depth, dry_run=dry_run) if point == NOW else None
            restore = restored_copy.plan_restore(NAME, environment, source, point, ends_at, moment)
            say(str(restore))
        if dry_run:
            return str(restore)
    with _cleaned_up(environment):
        if found is None or found.copy:
            found = _restore_and_judge(where, restore, depth, found, mutants=mutants, allow_deleted=allow_deleted)
    with phase("verdict"):
        for line in evidence.page(found, evidence.list_recent(where)):
            say(line)
        require_good(found.verdicts)
    return f"{found.point}: verified"


def _record_moment(where: Environment, source: DBInstance, depth: Depth, *, dry_run: bool) -> datetime:
    """A moment whose content is recorded: once where nobody wrote just then, else on both sides of it."""
    if dry_run:
        return datetime.now(UTC)
    name, patience = restored_copy.name_copy(source), baseline.PATIENCE_SECONDS
    reading: content_baseline.Depth = "signed" if depth == "signed" else "content"
    before = baseline.record_baseline(where, f"{name}/before", patience_seconds=patience, depth=reading)
    if before.is_exact:
        return before.taken_at
    moment = baseline.wait_for_next_second(before)
    baseline.record_baseline(where, f"{name}/after", before=before)
    return moment


def _restore_and_judge(
    where: Environment, restore: Restore, depth: Depth, found: Evidence | None, *, mutants: bool, allow_deleted: bool
) -> Evidence:
    with phase("restore"):
        usual = evidence.usual_restore_seconds(evidence.list_recent(where))
        restored_copy.wait_until_restorable(restore)
        restored_copy.begin_restore(restore)
        restored = restored_copy.wait_until_restored(restore, usual)
        copy = restored_copy.open_copy(restored.instance)
        say(f"{restore.copy_id} was restored in {restored.seconds:.0f} s")
    with phase("verify"):
        began = datetime.now(UTC)
        one = verification.begin_examination(where, restore, copy, allow_deleted=allow_deleted)
        say(f"compared with {one.reference}")

        def record(verdicts: Sequence[Verdict], of: str | None = None) -> Evidence:
            seconds = (datetime.now(UTC) - began).total_seconds()
            return evidence.record(where, str(restore.point), restored.seconds, seconds, verdicts, of)

        if found is None or found.copy != restore.copy:
            verdicts = [judge_policy(where, restore.source), restored_copy.judge_instance(where.environment, restore)]
            found = record([*verdicts, *verification.judge(where, one, depth, with_mutants=mutants)], restore.copy)
        return record([*found.verdicts, *verification.judge_by_use(where, one, depth)])


@contextmanager
def _cleaned_up(environment: EnvironmentName) -> Iterator[None]:
    """Whatever happens in it, nothing that this run made stays."""
    try:
        yield
    finally:
        with phase("clean up"):
            mine = residue.find_own(environment)
            residue.wait_until_gone([one for one in mine if residue.begin_removal(one)])
            residue.require_none(residue.find_own(environment))
            say(f"removed {len(mine)}, residue: 0")


if __name__ == "__main__":
    run(verify_backup)
