"""Run a procedure in a process of its own and kill it, with SIGKILL, at one exact point.

A point is `call:N` (just before the N-th task is called, which is also just after the one before it), `change:N` (the
same, counting only actions), `before:NAME` (just before the task of that name is called for the first time), `sleep:N`
(inside a wait, at its N-th pause) or `never`. Each run is a child of a process that has imported everything and done
nothing: that saves it four seconds.
"""

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tasks import aws, change_lock

ROOT = Path(__file__).parents[1]
KILLED = -signal.SIGKILL
POLL_SECONDS = 0.2  # the lab is faster than AWS
RUN_ID = "the-same-run"  # unless the given environment has another RUN_ID


def let_lease_run_out(environment: str = "dev") -> None:
    """What a minute does to the lease of a run that was killed."""
    aws.client("dynamodb").update_item(
        TableName=change_lock.LOCK_TABLE,
        Key=change_lock._key(environment),
        UpdateExpression="SET expires_at = :now",
        ExpressionAttributeValues={":now": {"N": "0"}},
    )


def run(
    point: str, procedure: str, parameters: Mapping[str, Any], environment: Mapping[str, str], root: Path = ROOT
) -> int:
    """The exit code: 0 completed, 1 ended red, -9 killed. A run started again with the same parameters resumes.

    Args:
        root: where the code is, when it is not this checkout.
    """
    parent = _parent(root, tuple(sorted(environment.items())))
    assert parent.stdin
    assert parent.stdout
    parent.stdin.write(json.dumps([point, procedure, dict(parameters)]) + "\n")
    parent.stdin.flush()
    return int(parent.stdout.readline())


def kill_on_the_way(
    procedure: str, parameters: Mapping[str, Any], environment: Mapping[str, str], most: int, first: int = 0
) -> int:
    """One run, killed before its `first` task, started again and killed before the next, and so on until it completes.

    Returns how often it was killed.
    """
    for boundary in range(first, most):
        code = run(f"call:{boundary}", procedure, parameters, environment)
        if code != KILLED:
            assert code == 0, f"killed {boundary - first} times, the run ended {code}, expected it to complete"
            return boundary - first
    raise AssertionError(f"{procedure} was killed {most} times and did not complete")


@cache
def _parent(root: Path, environment: tuple[tuple[str, str], ...]) -> "subprocess.Popen[str]":
    """Ends with this process, which holds the other end of its input."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.killing"],
        cwd=root,
        env={**os.environ, **dict(environment)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer_requests() -> None:
    """Fork a child for each line that comes in, and answer with how it ended."""
    for line in sys.stdin:
        point, procedure, parameters = json.loads(line)
        importlib.import_module(procedure)
        child = os.fork()
        if child == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            os._exit(main(point, procedure, parameters))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def main(point: str, procedure: str, parameters: dict[str, Any]) -> int:
    from prefect import Task  # noqa: PLC0415 - the parent of this process needs no Prefect
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings  # noqa: PLC0415

    from tasks import change_lock, waiting  # noqa: PLC0415

    kind, _, where = point.partition(":")
    waiting.SHORTEST_POLL_SECONDS = POLL_SECONDS
    change_lock.run_id = lambda: os.environ.get("RUN_ID", RUN_ID)
    if kind == "call":
        _kill_before(Task, "__call__", int(where))
    elif kind == "before":
        _kill_before(Task, "__call__", 0, lambda task, *_: task.name == where)
    elif kind == "change":
        _kill_before(Task, "__call__", int(where), lambda task, *_: "action" in task.tags)
    elif kind == "sleep":
        _kill_before(waiting.time, "sleep", int(where))
    flow = getattr(importlib.import_module(procedure), procedure.rpartition(".")[2])
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        state = flow(**parameters, return_state=True)
    return 0 if state.is_completed() else 1


def _kill_before(owner: Any, name: str, number: int, counts: Callable[..., bool] = lambda *_: True) -> None:
    original, calls = getattr(owner, name), itertools.count()

    def counted(*arguments: Any, **named: Any) -> Any:
        if counts(*arguments) and next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    setattr(owner, name, counted)


if __name__ == "__main__":
    answer_requests()
