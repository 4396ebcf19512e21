"""Child processes of the lab, and their one rule: none outlives it."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 10.0
GRACE_SECONDS = 5.0
KILL_SECONDS = 0.01  # how long a killed process may take to be gone
# Every process of a lab carries the lab's folder in this variable, so that those which lost their parent are found.
MARK = "LAB_PROCESS_OF"
_libc = ctypes.CDLL(None, use_errno=True)
# The kernel's "parent" is the thread that forked, not its process: a child started in a request's thread would be
# asked to end as soon as that request is answered. This one thread lives as long as the process.
_forker = ThreadPoolExecutor(1, "forker")


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies; the supervisor catches those that lose this wish."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def spawn(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdout: int | None = None,
    errors: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in its own process group. Its output goes to `log`, or to the pipe asked for by `stdout`;
    what it says on stderr goes there too, unless `errors` names a file for it."""

    def start() -> subprocess.Popen[bytes]:
        with (log or Path(os.devnull)).open("ab") as sink, (errors or Path(os.devnull)).open("ab") as error_sink:
            return subprocess.Popen(
                list(command),
                cwd=cwd,
                env=_marked(env),
                stdin=subprocess.DEVNULL,
                stdout=sink if stdout is None else stdout,
                stderr=error_sink if errors else subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one call into libc, no Python lock
            )

    return _forker.submit(start).result()


def _marked(env: Mapping[str, str] | None) -> Mapping[str, str] | None:
    if env is None or MARK not in os.environ:
        return env
    return {MARK: os.environ[MARK], **env}


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> int:
    """Ask once, wait, then kill. Returns the exit code."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def freeze(process: subprocess.Popen[bytes], frozen: bool) -> None:
    """Let `process` and all that it started stand still, or go on."""
    try:
        leader = psutil.Process(process.pid)
        every = [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in every:
        _signal(one, signal.SIGSTOP if frozen else signal.SIGCONT)


def end_all(home: Path) -> None:
    """End every process of the lab in `home` but this one: ask, then kill, until none is left."""
    how = signal.SIGTERM
    while left := _processes_of(home):
        for process in left:
            _signal(process, how)
        psutil.wait_procs(left, timeout=GRACE_SECONDS)
        how = signal.SIGKILL


def _processes_of(home: Path) -> list[psutil.Process]:
    own = psutil.Process()
    adopted = {p for p in own.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE}
    marked = [p for p in psutil.process_iter() if p != own and p not in adopted and _is_marked(p, MARK, str(home))]
    return [*adopted, *marked]


def end_marked(variable: str, value: str) -> None:
    """Kill every process that carries this in its environment, whoever started it."""
    while left := [process for process in psutil.process_iter() if _is_marked(process, variable, value)]:
        for process in left:
            _signal(process, signal.SIGKILL)
        time.sleep(KILL_SECONDS)


def _is_marked(process: psutil.Process, variable: str, value: str) -> bool:
    try:
        return process.environ().get(variable) == value
    except (psutil.Error, OSError):  # gone meanwhile, a zombie, or somebody else's
        return False


def _signal(process: psutil.Process, which: signal.Signals) -> None:
    try:
        process.send_signal(which)
    except psutil.NoSuchProcess:
        pass
