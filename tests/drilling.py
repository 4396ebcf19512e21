"""Walk a scenario's parts one by one, as a drill does, and look between them."""

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prefect.client.schemas.objects import State

from tasks.drill import Scenario, Situation
from tasks.environment import describe_environment

DRILL = "drill-abcdef12"
SECONDS = 60
POLL_SECONDS = 0.3


@dataclass
class Walk:
    scenario: Scenario
    situation: Situation
    memory: dict[str, Any] = field(default_factory=dict)

    def steady(self) -> list[str]:
        return self.scenario.steady(self.situation)

    def do(self) -> None:
        for step in self.scenario.method:
            step.do(self.situation)

    def undo(self) -> None:
        for step in reversed(self.scenario.method):
            step.undo(self.situation)

    def require_broken(self) -> None:
        assert wait_until_none(lambda: self.scenario.is_broken(self.situation)) == []

    def recover(self, **others: Any) -> State[Any]:
        """The scenario's own recovery, with these parameters in place of its own."""
        recovery = self.scenario.recovery
        assert recovery
        name = recovery.procedure.replace("-", "_")
        flow = getattr(importlib.import_module(f"flows.{name}"), name)
        state: State[Any] = flow(**{**recovery.parameters(self.situation), **others}, return_state=True)
        return state

    def unrecovered(self, seconds: float = SECONDS) -> list[str]:
        """Why it has not recovered; waits while it may still get there."""
        return wait_until_none(lambda: self.scenario.is_recovered(self.situation), seconds)


def wait_until_none(look: Callable[[], list[str]], seconds: float = SECONDS) -> list[str]:
    deadline = time.monotonic() + seconds
    while (reasons := look()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return reasons


@contextmanager
def walking(scenario: Scenario, name: str = DRILL, environment: str = "dev") -> Iterator[Walk]:
    """In a steady state, and back in one at the end."""
    where = describe_environment.fn(environment)
    memory: dict[str, Any] = {}
    radius = scenario.resolve(where)
    walk = Walk(scenario, Situation(where, radius.targets, name, memory, memory.__setitem__), memory)
    assert walk.steady() == []
    try:
        yield walk
    finally:
        walk.undo()
        assert wait_until_none(walk.steady) == []
