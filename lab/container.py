"""A docker container as a process: its environment, its log lines, its restarts and its end.

No chroot and no network namespace: paths that exist in the image become paths below its root, and "all interfaces"
becomes the one address of the instance, which stands for docker's port publishing.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.clock import Clock
from lab.docker_run import DockerError, DockerRun
from lab.processes import freeze, spawn, stop
from lab.pull import DAEMON, ImageConfig

VENV_BIN = Path(sys.prefix) / "bin"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
ALL_INTERFACES = re.compile(r"(?<![\w.])0\.0\.0\.0(?::\d+)?(?![\w.])")
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 60.0
# A container that ran this long is restarted without the delay that it had earned before.
STEADY_SECONDS = 10.0
DEFAULT_PORT = 8000
ALWAYS = ("always", "unless-stopped")
LAST_LINES_SECONDS = 1.0


@dataclass
class Container:
    """`docker run` whose ports answer on `address`."""

    run: DockerRun
    config: ImageConfig
    folder: Path
    address: str
    clock: Clock
    client_environment: Mapping[str, str]
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    restarts: int = 0
    created: float = field(default_factory=time.time)
    _since: float = field(default_factory=time.time)
    _process: "subprocess.Popen[bytes] | None" = None
    _pending: list[tuple[int, str]] = field(default_factory=list)
    _book: threading.Lock = field(default_factory=threading.Lock)
    _lifecycle: threading.Lock = field(default_factory=threading.Lock)
    _reader: threading.Thread | None = None
    _delay: float = FIRST_DELAY_SECONDS
    _started_at: float = 0.0
    _restart_at: float | None = None
    _ended: bool = False
    _frozen: bool = False

    @property
    def rootfs(self) -> Path:
        return self.folder / "rootfs"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process; what cannot be started at all, docker tells and does not restart."""
        command = self._command()
        if not command:
            raise DockerError(f"{DAEMON} no command specified.")
        with self._lifecycle:
            if not self._ended:
                self._spawn(command, self.rootfs / self.config.directory.lstrip("/"))

    def _spawn(self, command: list[str], directory: Path) -> None:
        try:
            process = spawn(command, cwd=directory, env=self._environment(directory), stdout=subprocess.PIPE)
        except OSError as error:
            words = f'exec: "{command[0]}": {error.strerror or error}'
            raise DockerError(f"{DAEMON} failed to create task for container: {words}") from error
        self._process, self._started_at, self._restart_at = process, time.monotonic(), None
        self._since, self._frozen = time.time(), False
        self._reader = threading.Thread(target=self._read, args=(process,), name=f"container-{self.id}", daemon=True)
        self._reader.start()

    def _published(self) -> tuple[str, int]:
        """Where the application must listen, so that what docker publishes answers."""
        return self.address, next(iter(self.run.ports), next(iter(self.config.ports), DEFAULT_PORT))

    def _command(self) -> list[str]:
        host, port = self._published()
        words = [*self.config.entrypoint, *(self.run.command or self.config.command)]
        return [ALL_INTERFACES.sub(lambda m: f"{host}:{port}" if ":" in m[0] else host, self._below(w)) for w in words]

    def _below(self, text: str) -> str:
        inside = self.rootfs / text.lstrip("/")
        return str(inside) if text.startswith("/") and inside.exists() else text

    def _environment(self, directory: Path) -> dict[str, str]:
        host, port = self._published()
        return {
            **{name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ},
            **{name: self._below(value) for name, value in self.config.environment.items()},
            **self.client_environment,
            **self.run.environment,
            "PATH": f"{VENV_BIN}:{SYSTEM_PATH}",
            "PYTHONPATH": str(directory),
            "HOME": str(self.rootfs),
            "HOSTNAME": self.id,
            "HOST": host,
            "PORT": str(port),
            "GUNICORN_CMD_ARGS": f"--bind={host}:{port}",
        }

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        with process.stdout as output, (self.folder / "container.log").open("ab") as log:
            for raw in output:
                log.write(raw)
                log.flush()
                if text := raw.decode(errors="replace").rstrip("\r\n"):
                    with self._book:  # also holds the time, so that lines never go back in it
                        self._pending.append((int(time.time() * 1000), text))

    def take_lines(self) -> list[tuple[int, str]]:
        """The lines since the last call, each with the millisecond in which it arrived."""
        with self._book:
            taken, self._pending = self._pending, []
        return taken

    def is_due_for_restart(self) -> bool:
        """Notice an exit, then wait as docker does: 100 ms, twice as long each time, at most a minute."""
        if self._ended or self._process is None or self._process.poll() is None:
            return False
        if self._restart_at is None:
            self._kill_rest()
            if time.monotonic() - self._started_at >= self.clock.seconds(STEADY_SECONDS):
                self._delay = FIRST_DELAY_SECONDS
            self._restart_at = self.clock.deadline(self._delay)
            self._delay = min(self._delay * 2, LONGEST_DELAY_SECONDS)
        return self._is_to_restart(self._process.returncode) and time.monotonic() >= self._restart_at

    def _is_to_restart(self, code: int) -> bool:
        return self.run.restart_policy in ALWAYS or (self.run.restart_policy == "on-failure" and code != 0)

    def restart(self) -> None:
        self.restarts += 1
        self.start()

    def stop(self) -> None:
        """`docker stop`: SIGTERM, ten seconds, SIGKILL; then nothing of it is left."""
        with self._lifecycle:
            self._ended = True
        if self._frozen:
            self._kill_rest()
        if self._process:
            stop(self._process)
            self._kill_rest()
        if self._reader:
            self._reader.join(LAST_LINES_SECONDS)

    def freeze(self, frozen: bool) -> None:
        """To the world a container that stands still is one that no packet reaches, and none leaves."""
        if frozen != self._frozen and self._process and self.pid:
            freeze(self._process, frozen)
            self._frozen = frozen

    def revive(self) -> None:
        """`docker start`, as the daemon does after a reboot for what it is to restart."""
        if self.run.restart_policy in ALWAYS:
            self._ended = False
            self.start()

    def _kill_rest(self) -> None:
        """A container ends with its first process."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def describe(self) -> str:
        if self.pid or self._process is None:
            return "running" if self.pid else "created"
        code = self._process.returncode
        restarting = not self._ended and self._is_to_restart(code)
        return f"{'restarting' if restarting else 'exited'} ({code})"

    def facts(self) -> dict[str, Any]:
        """What `docker ps` on the instance tells."""
        return {
            "id": self.id,
            "image": self.run.image.text,
            "command": " ".join([*self.config.entrypoint, *(self.run.command or self.config.command)]),
            "ports": ", ".join(f"0.0.0.0:{host}->{inside}/tcp" for host, inside in self.run.ports.items()),
            "name": self.run.name or self.id,
            "state": self.describe(),
            "created": self.created,
            "since": self._since,
        }
