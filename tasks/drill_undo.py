"""The end of every drill: what it did is taken back in reverse, by its own run or by any that finds it unfinished."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from tasks import change_lock, drill_journal
from tasks.change_lock import Lease
from tasks.drill import Situation, Step, start_nothing
from tasks.drill_journal import Journal
from tasks.errors import VerificationFailed
from tasks.report import say
from tasks.scenarios import SCENARIOS

Start = Callable[[str, Mapping[str, Any]], None]


def take_back(journal: Journal, lease: Lease, start: Start = start_nothing) -> None:
    """Undo each step that was begun, in reverse; one that can't be undone does not keep the others from it.

    Raises:
        VerificationFailed: something was not undone. The drill stays unfinished, so that the next run tries again.
    """
    stuck: list[str] = []
    situation = replace(journal.situation(lease), start=start)
    try:
        with ExitStack() as undo:
            for step in SCENARIOS[journal.scenario].method:
                if step.name in journal.begun and step.name not in journal.undone:
                    undo.callback(_undo, step, journal, situation, stuck)
    except Exception as failure:
        journal.fail(f"not undone: {'; '.join(stuck)}")
        raise VerificationFailed(
            f"{journal} is not undone: {'; '.join(stuck)}. Mend that, then start it again, or sweep_residue"
        ) from failure


def _undo(step: Step, journal: Journal, situation: Situation, stuck: list[str]) -> None:
    try:
        step.undo(situation)
    except BaseException as failure:
        stuck.append(f"{step.name}: {failure}")
        raise
    journal.undo(step.name)
    say(f"{step.name}: undone")


def find_left_over(environment: str) -> tuple[Journal, ...]:
    """Drills whose runs were killed. One that lives holds the environment; then there is none to take back."""
    found = drill_journal.unfinished(drill_journal.list_journals(environment))
    return found if found and change_lock.is_free(environment) else ()


def end_left_over(left: tuple[Journal, ...], procedure: str, start: Start = start_nothing) -> None:
    """Take these drills back, and write down that they proved nothing."""
    for journal in left:
        with change_lock.change_lock(journal.environment.environment, procedure) as lease, lease.lent():
            say(f"{journal} was left over; taking it back")
            journal.fail(f"its run ended on the way; taken back by {procedure} (run {change_lock.run_id()})")
            take_back(journal, lease, start)
            journal.end()
