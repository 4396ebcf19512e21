"""A procedure in a process of its own, as on a worker, which is lost in the middle of its change."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import IO

from prefect.settings import get_current_settings

from tasks import change_lock
from tasks.errors import VerificationFailed
from tasks.kinds import action
from tasks.report import say
from tasks.waiting import wait_until

MIDDLE_SECONDS = 900
TOLD_BYTES = 900
# With this variable Prefect says to a process which run it belongs to (prefect.runtime), so that it may change what
# this run holds.
BELONGS_TO = "PREFECT__RUNTIME__FLOW_RUN__ROOT_FLOW_RUN_ID"


@action
def lose_orchestrator(procedure: str, parameters: Mapping[str, str], is_in_the_middle: Callable[[], bool]) -> None:
    """Start it, and kill it with SIGKILL once it is in the middle.

    Raises:
        VerificationFailed: it ended before it was there; nothing was lost.
    """
    options = [word for name, value in parameters.items() for word in (f"--{name.replace('_', '-')}", value)]
    command = [sys.executable, "-m", f"flows.{procedure.replace('-', '_')}", *options]
    inherited = get_current_settings().to_environment_variables(exclude_unset=True)
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            command,
            env={**os.environ, **inherited, BELONGS_TO: change_lock.run_id()},
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for_the_middle(process, procedure, is_in_the_middle, told)
        finally:
            process.kill()
            process.wait()
    say(f"process {process.pid} of {procedure} was killed in the middle of its change")


def _wait_for_the_middle(
    process: "subprocess.Popen[bytes]", procedure: str, is_in_the_middle: Callable[[], bool], told: IO[bytes]
) -> None:
    def look() -> bool:
        is_there = is_in_the_middle()
        if process.poll() is not None:
            told.seek(0)
            words = told.read().decode(errors="replace")[-TOLD_BYTES:]
            raise VerificationFailed(f"{procedure} ended {process.returncode}, expected it in the middle: {words}")
        return is_there

    wait_until(
        f"process {process.pid} of {procedure}",
        look,
        bool,
        timeout_seconds=MIDDLE_SECONDS,
        expected="it in the middle of its change",
    )
