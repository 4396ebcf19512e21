"""What a shell on an EC2 instance finds: a home of its own, and tools that know only this instance.

No chroot: a script's paths below OWN_FOLDERS are taken to the instance's tree, every other one is the host's.
`uptime`, `free` and `df` tell of the host; `curl` takes localhost for the instance, `docker` knows its container.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.container import SYSTEM_PATH
from lab.processes import spawn

# Every process that was started on an instance carries the instance's id in this variable: it ends with it.
INSTANCE_MARK = "AWS_SSM_INSTANCE_ID"
ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
OWN_FOLDERS = ("home", "opt", "root", "tmp", "var/log")
OWN_PATH = re.compile(rf"(?<![\w./-])(?=/(?:{'|'.join(OWN_FOLDERS)})(?![\w.-]))")
LOCAL_NAMES = ("localhost", "127.0.0.1")
AGENT = "amazon-ssm-agent"
AGENT_STOPPED = "agent-stopped"  # a file: who stops the agent of a running instance loses it until a reboot
LOGS = ("user-data.log", "cloud-init-output.log")


def prepare(folder: Path, address: str, console: list[str], curl: str | None) -> Path:
    """Make the instance's tree below `folder`, or bring it up to date. `curl`: the host's own, if it has one."""
    tree = folder / "tree"
    for name in ("bin", *OWN_FOLDERS):
        (tree / name).mkdir(parents=True, exist_ok=True)
    python = shlex.join([sys.executable, "-m"])
    package = f"PYTHONPATH={shlex.quote(str(Path(__file__).parents[1]))}"
    if curl:
        redirections = " ".join(f"--connect-to {name}::{address}:" for name in LOCAL_NAMES)
        _write_tool(tree / "bin" / "curl", f"{shlex.quote(curl)} {redirections}")
    else:
        _write_tool(tree / "bin" / "curl", f"env {package} {python} lab.instance_curl {address}")
    _write_tool(tree / "bin" / "docker", f"env {package} {python} lab.instance_docker {shlex.quote(str(folder))}")
    _write_tool(tree / "bin" / "systemctl", _systemctl(folder))
    for name in LOGS:
        (tree / "var" / "log" / name).write_text("".join(f"{line}\n" for line in console))
    return tree


def _write_tool(path: Path, command: str) -> None:
    text = command if "\n" in command else f'exec {command} "$@"\n'
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


def _systemctl(folder: Path) -> str:
    """Of all units, the agent alone can be stopped."""
    mark = shlex.quote(str(folder / AGENT_STOPPED))
    return (
        'case "$1 ${2%.service}" in\n'
        f'"stop {AGENT}") : > {mark} ;;\n'
        f'"start {AGENT}" | "restart {AGENT}") rm -f {mark} ;;\n'
        f'"is-active {AGENT}") echo active ;;\n'
        "*) echo \"systemctl: this lab has no '$*', expected stop, start, restart or is-active of the agent\" >&2\n"
        "   exit 1 ;;\n"
        "esac\n"
    )


def has_agent(folder: Path) -> bool:
    return not (folder / AGENT_STOPPED).exists()


def host_curl() -> str | None:
    return shutil.which("curl")


def start(
    tree: Path, script: str, output: Path, directory: str, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Run a shell script as root would there: its output goes to `stdout` and `stderr` in the folder `output`."""
    (output / "_script.sh").write_text(below(tree, script))
    where = Path(below(tree, directory)) if directory else tree / "root"
    return spawn(
        ["/bin/sh", str(output / "_script.sh")],
        cwd=where,
        env={
            **{name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ},
            "PATH": f"{tree / 'bin'}:{SYSTEM_PATH}:{ADMIN_PATH}",
            "HOME": str(tree / "root"),
            "TMPDIR": str(tree / "tmp"),
            "USER": "root",
            "LOGNAME": "root",
            **environment,
        },
        log=output / "stdout",
        errors=output / "stderr",
    )


def below(tree: Path, text: str) -> str:
    """The text with the instance's own absolute paths as paths in its tree."""
    return OWN_PATH.sub(lambda _: str(tree), text)
