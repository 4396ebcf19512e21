"""The process above the lab: whatever way the lab ends, it ends every process and removes the folder."""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lab.processes import MARK, end_all, spawn

PR_SET_CHILD_SUBREAPER = 36
LOG_FILE = "lab.log"
READY_FILE = "lab.json"
FOLLOW_SECONDS = 0.2
BUSY = 75  # EX_TEMPFAIL of sysexits.h: try again


def main(home: Path, speed: float, *, follow_log: bool = False) -> int:
    """Run the lab as a child; adopt, end and bury everything it leaves behind."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    claim = claim_home(home)
    environment = {**os.environ, MARK: str(home), "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    log = home / LOG_FILE
    server = spawn([sys.executable, "-m", "lab.server", str(home), str(speed)], env=environment, log=log)

    def end(*_: Any) -> None:
        if server.returncode is None:  # Popen's own terminate() would reap it, and the wait below never hear of it
            os.kill(server.pid, signal.SIGTERM)

    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, end)
    if follow_log:
        threading.Thread(target=_follow, args=(log,), daemon=True).start()
    code = _wait_and_reap(server)
    if code not in (0, -signal.SIGTERM, -signal.SIGKILL):
        sys.stderr.write(log.read_text()[-4000:])
    bury(home)
    os.close(claim)
    return max(code, 0)


def _wait_and_reap(server: "subprocess.Popen[bytes]") -> int:
    """Wait for the lab's end, and meanwhile bury the orphans that come here."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert ended is not None  # noqa: S101 - without WNOHANG it waits
        if ended.si_pid == server.pid:
            return server.wait()
        os.waitpid(ended.si_pid, 0)


def claim_home(home: Path) -> int:
    """Make the folder this lab's own. The lock on the folder itself is the claim; it ends with this process."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        claim = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"another lab is starting or stopping in {home}\n")
        sys.exit(BUSY)
    except OSError as error:
        sys.exit(f"the lab cannot use {home}: {error.strerror}")
    if any(home.iterdir()) and not (home / LOG_FILE).exists():
        sys.exit(f"{home} holds files that no lab made, and a lab removes its folder: choose another --home")
    empty(home)
    if not os.access(home, os.W_OK | os.X_OK):
        sys.exit(f"the lab cannot write into {home}")
    return claim


def empty(home: Path) -> None:
    """Remove what a lab left in `home` that was killed together with its supervisor."""
    end_all(home)
    for path in home.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def bury(home: Path) -> None:
    end_all(home)
    shutil.rmtree(home, ignore_errors=True)


def _follow(log: Path) -> None:
    """Copy the log to stderr as it grows."""
    with log.open() as lines:
        while True:
            sys.stderr.write(lines.read())
            sys.stderr.flush()
            time.sleep(FOLLOW_SECONDS)


def start_in_background(home: Path, speed: float, log: Path) -> "subprocess.Popen[bytes]":
    """A supervisor that outlives this command."""
    with log.open("ab") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "lab.supervisor", str(home), str(speed)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
