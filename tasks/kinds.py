"""Two kinds of task: a probe only looks, an action changes something. `grep @action` lists all we can change."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from tasks.errors import RunbookError

P = ParamSpec("P")
R = TypeVar("R")

PROBE_RETRIES = 2
ACTION_RETRIES = 2
RETRY_DELAY_SECONDS = 3
ACTIONS: set[Callable[..., Any]] = set()  # the functions behind them, for whoever asks of a task which kind it is


def probe(look: Callable[P, R]) -> Task[P, R]:
    """Looking again is free, so a failed look is retried; a deliberate stop is not. Never cached: the world moves."""
    return _unit(look, PROBE_RETRIES)


def action(change: Callable[P, R]) -> Task[P, R]:
    """Idempotent by contract - it looks before it acts - and therefore safe to retry, in this run or a resumed one."""
    ACTIONS.add(change)
    return _unit(change, ACTION_RETRIES)


def _unit(body: Callable[P, R], retries: int) -> Task[P, R]:
    """Without tags: for each, also where nothing limits it, Prefect's engine asks its server for a slot in a write
    transaction before the task begins. A busy server would fail it."""
    return task(
        retries=retries,
        retry_delay_seconds=RETRY_DELAY_SECONDS,
        retry_condition_fn=_not_deliberate,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(body)


def _not_deliberate(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return not isinstance(state.result(raise_on_failure=False), RunbookError)
