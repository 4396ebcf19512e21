"""Run a procedure in a process of its own and kill it, with SIGKILL, at one exact point.

A point is `before:NAME` (just before the task of that name is called for the first time), `sleep:N` (inside a wait, at
its N-th pause), `place:FILE` (at the first boundary that the file does not name yet; it is added) or `never`. Each run
is a child of a process that has imported everything and done nothing: that saves it four seconds.

The variable SETTINGS, such as {"tasks.scenarios_database.IDLE_MINUTES": 0.01}, changes what is too slow for a test.
"""

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import Any

from tasks import aws, change_lock, kinds

ROOT = Path(__file__).parents[1]
KILLED = -signal.SIGKILL
POLL_SECONDS = 0.2  # the lab is faster than AWS
MOST_KILLS = 120
MOST_TIMES = 3  # the same line again is a loop
RUN_ID = "the-same-run"  # unless the given environment has another RUN_ID


def variables(lab: Mapping[str, str], prefect_server: str) -> dict[str, str]:
    """Of a run in a process of its own."""
    return {**lab, "PREFECT_API_URL": prefect_server, "PREFECT_LOGGING_LEVEL": "ERROR"}


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


def kill_everywhere(
    procedure: str, parameters: Mapping[str, Any], environment: Mapping[str, str], ends: int = 0
) -> None:
    """One run, killed at each boundary on its way: started again it goes on, and is killed at the next one it comes to.

    A boundary is before an action and behind it, and behind the last task: between two that only look nothing changes.

    Args:
        ends: the exit code that the last one, which meets no further boundary, must have.
    """
    with tempfile.NamedTemporaryFile("r") as places:
        for _ in range(MOST_KILLS):
            code = run(f"place:{places.name}", procedure, parameters, environment)
            killed_at = Path(places.name).read_text().splitlines()
            if code != KILLED:
                assert code == ends, f"killed at {killed_at}, the run ended {code}, expected {ends}"
                assert len(killed_at) > 1, "nothing is done in it that a kill could interrupt"
                return
    raise AssertionError(f"{procedure} was killed {MOST_KILLS} times, at last {killed_at[-1]}, and did not end")


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
    if kind == "before":
        _kill_before(Task, "__call__", 0, lambda task, *_: task.name == where)
    elif kind == "sleep":
        _kill_before(waiting.time, "sleep", int(where))
    for path, value in json.loads(os.environ.get("SETTINGS", "{}")).items():
        module, _, attribute = path.rpartition(".")
        setattr(importlib.import_module(module), attribute, value)
    flow = getattr(importlib.import_module(procedure), procedure.rpartition(".")[2])
    if kind == "place":
        places = _Places(Path(where))
        _kill_before(Task, "__call__", 0, places.is_new)
        flow.fn = _killed_behind(flow.fn, places)
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


def _killed_behind(page: Callable[..., Any], places: "_Places") -> Callable[..., Any]:
    """Everything is done, and Prefect does not know it yet."""

    @wraps(page)
    def run(*arguments: Any, **named: Any) -> Any:
        ended = page(*arguments, **named)
        if places.add("its end"):
            os.kill(os.getpid(), signal.SIGKILL)
        return ended

    return run


class _Places:
    """Boundaries, each known by the lines of our code that are being executed there, and kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = set(file.read_text().splitlines())
        self._times: Counter[str] = Counter()
        self._behind_an_action = False

    def is_new(self, task: Any, *_: Any) -> bool:
        is_action = task.fn in kinds.ACTIONS
        is_boundary, self._behind_an_action = is_action or self._behind_an_action, is_action
        if not is_boundary:
            return False
        lines = " < ".join(_lines_of_ours())
        self._times[lines] += 1
        return self._times[lines] <= MOST_TIMES and self.add(f"{task.name} #{self._times[lines]} at {lines}")

    def add(self, place: str) -> bool:
        if place in self._known:
            return False
        with self._file.open("a") as file:
            file.write(f"{place}\n")
        return True


def _lines_of_ours() -> Iterator[str]:
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.parent in (ROOT / "flows", ROOT / "tasks"):
            yield f"{path.stem}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]


if __name__ == "__main__":
    answer_requests()
