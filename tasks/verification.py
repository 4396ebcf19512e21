"""The layers of a verified restore, in order, each with its own verdict; and proof that a lie would be noticed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import psycopg2
from psycopg2.extensions import connection

from tasks import (
    baseline,
    catalogue,
    content,
    content_baseline,
    evidence,
    expectations,
    heartbeats,
    mutants,
    restored_application,
    verifier_role,
)
from tasks.baseline import Baseline
from tasks.catalogue import Catalogue
from tasks.environment import Environment
from tasks.errors import RunbookError, WaitTimedOut
from tasks.kinds import action, probe
from tasks.pace import Pace
from tasks.postgres import Address, open_session
from tasks.quiet_moment import Cut
from tasks.report import say
from tasks.restored_copy import Restore
from tasks.verdict import Verdict

Depth = Literal["quick", "content", "full", "signed"]
WITH_APPLICATION = ("full", "signed")


@dataclass(frozen=True)
class Reference:
    """The records of the restored moment: an `exact` one, or two `around` it; without them the source speaks."""

    exact: Baseline | None = None
    around: tuple[Baseline, Baseline] | None = None

    @property
    def latest(self) -> Baseline | None:
        return self.around[1] if self.around else self.exact

    @property
    def row_counts(self) -> dict[str, tuple[int, int]]:
        """The fewest and the most rows that each table may have."""
        if self.around:
            return expectations.bound_row_counts(self.around[0].row_counts, self.around[1].row_counts)
        return expectations.bound_row_counts(self.exact.row_counts) if self.exact else {}

    def __str__(self) -> str:
        if self.exact:
            return f"the record of {self.exact.content.cut}"
        if self.around:
            return f"the records of {self.around[0].content.cut} and {self.around[1].content.cut}"
        return "the source as it is now, if it is asked: there is no record of that moment"


@dataclass(frozen=True)
class Examination:
    """One restored copy and what it is judged by; a statement that outlives the restore's window is cancelled."""

    restore: Restore
    copy: Address
    source: Address | None  # None: what the copy was made from is gone, or nothing in it is believed
    reference: Reference
    catalogue: Catalogue | None  # None: nobody knows what it was
    allow_deleted: bool

    @contextmanager
    def session(self, *, read_only: bool = True) -> Iterator[connection]:
        with open_session(self.copy, self.restore.seconds_left(), read_only=read_only) as session:
            yield session

    @property
    def is_alone(self) -> bool:
        """Whether there is nothing to compare the copy's rows with."""
        return self.source is None and self.reference.latest is None

    def judge_catalogue(self, session: connection) -> Verdict:
        assert self.catalogue  # noqa: S101 - judge asks only then
        return catalogue.judge_catalogue(session, self.catalogue)

    def judge_freshness(self, session: connection) -> Verdict:
        point = self.restore.point
        if self.source is None:
            return heartbeats.judge_freshness(session, point.earliest, point.latest).verdict
        with open_session(self.source, self.restore.seconds_left()) as source:
            return heartbeats.judge_freshness(session, point.earliest, point.latest, source).verdict

    def judge_content(self, session: connection) -> Verdict:
        if self.reference.around:
            before, after = self.reference.around
            return content.compare_around_backup(session, before.content, after.content).verdict
        if self.source is None and self.reference.exact:
            return content.compare_with_baseline(session, self.reference.exact.content).verdict
        assert self.source  # noqa: S101 - judge asks only then
        with open_session(self.source, self.restore.seconds_left()) as source:
            if self.reference.exact:
                record = self.reference.exact.content
                return content.compare_with_baseline(session, record, source=source).verdict
            moment = self.restore.point.earliest
            return content.compare_with_source(
                session, source, moment, pace=Pace(source), allow_deleted=self.allow_deleted
            ).verdict


@action
def begin_examination(
    environment: Environment, restore: Restore, copy: Address, *, allow_deleted: bool, ask_source: bool = True
) -> Examination:
    """What there is to judge the copy by; what a killed run's mutants may have left in it is gone.

    Args:
        ask_source: False where the source is gone or not believed: then records speak, or the copy alone.
    """
    mutants.remove_leftovers(partial(open_session, copy, read_only=False))
    reference = _find_reference(environment, restore)
    if not ask_source:
        recorded = reference.latest.catalogue if reference.latest else None
        return Examination(restore, copy, None, reference, recorded, allow_deleted)
    source = verifier_role.read_verifier_address(environment.environment)
    with open_session(source) as session:
        known = reference.latest.catalogue if reference.latest else catalogue.read_catalogue(session)
    return Examination(restore, copy, source, reference, known, allow_deleted)


def judge(environment: Environment, one: Examination, depth: Depth, *, with_mutants: bool) -> list[Verdict]:
    """Every layer that `depth` asks for and that leaves the copy as it was."""
    if one.is_alone:
        say("L1 and L3 are not judged: there is neither a source nor a record to compare with")
    verdicts = [judge_freshness(one)] if one.is_alone else [judge_catalogue(one), judge_freshness(one)]
    if depth != "quick" and not one.is_alone:
        verdicts.append(judge_content(one))
    if depth in WITH_APPLICATION:
        verdicts.append(judge_meaning(environment, one))
    if with_mutants:
        verdicts.append(judge_mutants(one))
    return verdicts


def judge_by_use(environment: Environment, one: Examination, depth: Depth) -> list[Verdict]:
    """L5, the last: the application writes into the copy, so that no other layer can be judged any more."""
    if depth not in WITH_APPLICATION:
        return []
    return [restored_application.judge_application(environment, one.copy, one.restore.marks)]


def is_judged_by_use(verdicts: Iterable[Verdict]) -> bool:
    return any(verdict.layer == restored_application.LAYER for verdict in verdicts)


@probe
def judge_catalogue(one: Examination) -> Verdict:
    """L1."""
    return _judged(catalogue.LAYER, one, one.judge_catalogue)


@probe
def judge_freshness(one: Examination) -> Verdict:
    """L2."""
    return _judged(heartbeats.LAYER, one, one.judge_freshness)


@probe
def judge_content(one: Examination) -> Verdict:
    """L3."""
    return _judged(content.LAYER, one, one.judge_content)


@action
def judge_meaning(environment: Environment, one: Examination) -> Verdict:
    """L4, with Great Expectations' Data Docs kept beside the backups."""
    with TemporaryDirectory(prefix="runbook-data-docs-") as folder:
        docs = Path(folder) / "docs"
        point, limit = one.restore.point.latest, one.reference.row_counts
        verdict = _safely(expectations.LAYER, lambda: expectations.judge_meaning(one.copy, point, limit, docs).verdict)
        link = evidence.keep_docs(environment, docs)
    return replace(verdict, facts=(*verdict.facts, link))


@action
def judge_mutants(one: Examination) -> Verdict:
    """Whether L1 to L3 notice each planted corruption of the copy; all of them are taken back (N02)."""
    compare = one.judge_content if one.reference.latest else _comparison_with_itself(one)

    def judge(session: connection) -> Iterator[Verdict]:
        for layer, look in ((catalogue.LAYER, one.judge_catalogue), (heartbeats.LAYER, one.judge_freshness)):
            yield _safely(layer, lambda look=look: look(session))  # type: ignore[misc]
        yield _safely(content.LAYER, lambda: compare(session))

    connect = partial(one.session, read_only=False)
    return _safely(mutants.LAYER, lambda: mutants.verify_mutants(connect, judge).verdict)


def _comparison_with_itself(one: Examination) -> Callable[[connection], Verdict]:
    """The source would have to be read once more for each mutant; the copy, found equal to it, speaks in its place."""
    with one.session() as session:
        now = datetime.now(UTC)
        record = content_baseline.take_baseline(session, Cut(now, True, now, now), workers=content.WORKERS)
    return lambda session: content.compare_with_baseline(session, record).verdict


def _find_reference(environment: Environment, restore: Restore) -> Reference:
    name = restore.point.snapshot.id if restore.point.snapshot else restore.copy_id
    before, after = (baseline.find_baseline.fn(environment, f"{name}/{when}") for when in ("before", "after"))
    if before and after:
        return Reference(around=(before, after))
    return Reference(exact=before if before and before.is_exact and not restore.point.snapshot else None)


def _judged(layer: str, one: Examination, look: Callable[[connection], Verdict]) -> Verdict:
    with one.session() as session:
        return _safely(layer, lambda: look(session))


def _safely(layer: str, look: Callable[[], Verdict]) -> Verdict:
    """A layer that can't be judged is not verified, and the others are judged all the same."""
    try:
        return look()
    except WaitTimedOut:
        raise
    except (RunbookError, psycopg2.Error) as error:
        return Verdict(layer, (f"it could not be judged: {error}".strip(),))
