"""Drills as a person starts them, their recovery sabotaged, and a scenario's steps one by one."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import flow
from prefect.client.schemas.objects import State

from flows import run_drill as page
from flows.retire_database import retire_database
from tasks import drill_journal, rds, scenarios
from tasks.database_recovery import RETIRE_AFTER
from tasks.drill import Scenario, Situation
from tasks.drill_journal import Journal
from tasks.environment import describe_environment
from tests import killing

DRILL = "drill-abcdef12"


def drill(scenario: str, **parameters: Any) -> State[Any]:
    return page.run_drill(scenario, return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def last_journal() -> Journal:
    return drill_journal.list_journals.fn("dev")[-1]


def require_proven(state: State[Any]) -> None:
    journal = last_journal()
    assert state.is_completed(), message(state)
    assert (journal.outcome, journal.failures, journal.undone) == ("proven", [], journal.begun[::-1])


def require_red_and_undone(state: State[Any], why: str) -> None:
    journal = last_journal()
    assert state.is_failed(), message(state)
    assert why in message(state)
    assert journal.outcome == "failed"
    assert journal.undone == journal.begun[::-1] != []


def kill_everywhere(scenario: str, environment: dict[str, str]) -> None:
    """The drill, killed at each boundary on its way, ends proven and takes everything back once."""
    asked = {**environment, "RUN_ID": f"killed-{scenario}"}
    killing.kill_everywhere("flows.run_drill", {"scenario": scenario}, asked)
    journal = last_journal()
    assert (journal.outcome, journal.failures, journal.undone) == ("proven", [], journal.begun)


def retire_kept() -> None:
    """The day of what recoveries put aside has passed."""
    for db in rds.find_tagged(RETIRE_AFTER):
        rds.tag(db, {RETIRE_AFTER: f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"})
        state = retire_database("dev", db.id, return_state=True)  # type: ignore[call-overload]
        assert state.is_completed(), message(state)


@contextmanager
def sabotaged(scenario: str, sabotage: Callable[[], None], **others: Any) -> Iterator[None]:
    """Just before the recovery, this happens; it may also get other parameters. The drill waits five seconds for it."""
    one = scenarios.SCENARIOS[scenario]
    assert one.recovery
    name = one.recovery.procedure
    procedure = getattr(importlib.import_module(f"flows.{name.replace('-', '_')}"), name.replace("-", "_"))

    @flow(name=name)
    def spoiled(**asked: Any) -> Any:
        sabotage()
        return procedure(**{**asked, **others}, return_state=True)

    impatient = replace(one, abort=replace(one.abort, after_seconds=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(page.RECOVERIES, name, spoiled)
        patch.setitem(scenarios.SCENARIOS, scenario, impatient)
        yield


def situation(scenario: Scenario) -> Situation:
    """As a drill would find it, with a memory that lasts as long as this."""
    where, memory = describe_environment.fn("dev"), {}  # type: ignore[var-annotated]
    return Situation(where, scenario.resolve(where).targets, DRILL, memory, memory.__setitem__)
