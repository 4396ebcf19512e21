"""One Terraform process: where its provider comes from, its events as they happen, and how it is ended safely."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from python_terraform import Terraform

from tasks import aws

PROVIDER = "registry.terraform.io/hashicorp/aws"
MIRROR_SETTING = "TERRAFORM_PROVIDER_MIRROR"
# Where packagers and image builders put filesystem mirrors that Terraform does not look into by itself.
CONVENTIONAL_MIRRORS = (
    "/opt/*",
    "/opt/*/*",
    "/usr/lib/terraform*",
    "/usr/*share/terraform/*",
    "/var/lib/terraform*",
)
# Scrubbed, because a plan must not depend on what an operator's shell once exported.
AMBIENT = ("TF_CLI_ARGS", "TF_LOG", "TF_WORKSPACE", "TF_DATA_DIR", "TF_INPUT", "TF_VAR_")
GRACE_SECONDS = 120
LOOKS = {(word,) for word in ("init", "output", "plan", "show", "validate", "version")} | {
    ("state", "list"),
    ("state", "pull"),
}

Event = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a Terraform command ended: its exit code, its diagnostics and everything it printed that is no event."""

    code: int
    diagnostics: tuple[Event, ...]
    text: str

    @property
    def errors(self) -> str:
        """The errors as Terraform words them, one line each, without their source snippets."""
        found = [d for d in self.diagnostics if d.get("severity") == "error"]
        lines = [" ".join(f"{d['summary']}: {d.get('detail', '')}".split()) for d in found]
        return "; ".join(lines) or self.text.strip()[-500:]


@dataclass
class TerraformProcess:
    """Runs commands in one folder, each as a process of its own session."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        command: str,
        *arguments: str,
        on_event: Callable[[Event], None] = lambda _: None,
        on_start: Callable[[int], None] = lambda _: None,
        timeout_seconds: float = 3600,
    ) -> Outcome:
        """Run `terraform COMMAND` to its end. Any exception on the way ends it by one SIGINT, so that it writes its
        state and releases its lock; a second signal would make it drop both."""
        if (command, *arguments)[: 2 if command == "state" else 1] not in LOOKS:
            aws.ask_before_change("terraform", command, {"arguments": arguments})
        process = self._start(command, arguments)
        watchdog = threading.Timer(timeout_seconds, _interrupt, [process])
        watchdog.start()
        diagnostics: list[Event] = []
        text: list[str] = []
        try:
            on_start(process.pid)
            for event in _events(process, text):
                if event.get("type") == "diagnostic":
                    diagnostics.append(event["diagnostic"])
                on_event(event)
            return Outcome(process.wait(), tuple(diagnostics), "".join(text))
        finally:
            watchdog.cancel()
            _end(process)

    def _start(self, command: str, arguments: tuple[str, ...]) -> "subprocess.Popen[str]":
        # python-terraform builds the command line only: running with it, it neither streams nor stops (see decisions).
        builder = Terraform(working_dir=str(self.folder))
        words = builder.generate_cmd_string(command, *arguments)
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env={**_clean_environment(), **provider_settings(self.folder), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )


def _events(process: "subprocess.Popen[str]", text: list[str]) -> Iterator[Event]:
    assert process.stdout  # noqa: S101 - PIPE was asked for
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            text.append(line)
            continue
        if isinstance(event, dict) and "@level" in event:
            yield event
        else:
            text.append(line)


def _interrupt(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        _interrupt(process)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(AMBIENT)}
    config = kept.get("TF_CLI_CONFIG_FILE")
    if config and not Path(config).is_file():
        del kept["TF_CLI_CONFIG_FILE"]  # Terraform would warn about it in every single output
    ours = {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "TF_APPEND_USER_AGENT": aws.caller.get()}
    return {**kept, **ours}


def find_provider_mirror() -> Path | None:
    """A filesystem mirror that has the AWS provider and that Terraform would not find by itself.

    In this order: the folder that TERRAFORM_PROVIDER_MIRROR names; none when a CLI configuration or one of Terraform's
    implied mirrors has the provider (they work by themselves); the conventional places; else none: the public registry.
    """
    if wanted := os.environ.get(MIRROR_SETTING):
        return Path(wanted)
    if Path(os.environ.get("TF_CLI_CONFIG_FILE") or "/nonexistent").is_file() or _has_implied_mirror():
        return None
    root = Path("/")
    found = (path for pattern in CONVENTIONAL_MIRRORS for path in sorted(root.glob(pattern.lstrip("/"))))
    return next((path for path in found if (path / PROVIDER).is_dir()), None)


def _has_implied_mirror() -> bool:
    home = Path.home()
    data_home = os.environ.get("XDG_DATA_HOME") or str(home / ".local/share")
    data_dirs = (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    places = [
        home / ".terraform.d/plugins",
        *(Path(p) / "terraform/plugins" for p in [data_home, *data_dirs]),
    ]
    return any((place / PROVIDER).is_dir() for place in places)


def provider_settings(folder: Path) -> dict[str, str]:
    """A CLI configuration for the mirror, if there is one; all other providers still come from the registry."""
    mirror = find_provider_mirror()
    if mirror is None:
        return {}
    config = folder / "mirror.tfrc"
    config.write_text(
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path    = {json.dumps(str(mirror))}\n    include = ["hashicorp/aws"]\n  }}\n'
        '  direct {\n    exclude = ["hashicorp/aws"]\n  }\n}\n'
    )
    return {"TF_CLI_CONFIG_FILE": str(config)}
