"""Systems Manager: agents that come online, and commands that really run on their instances, one process each."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.ssm.models import ssm_backends

from lab import instance_shell, patches, ssm_agents, ssm_answers, ssm_requests
from lab.ec2 import all_instances
from lab.instance_shell import INSTANCE_MARK
from lab.lab import Lab
from lab.ssm_answers import commands
from lab.ssm_commands import Command, Invocation

# A command is real work, and real work does not become faster: its limit on the lab's clock is at least this.
SHORTEST_LIMIT_SECONDS = 3.0
KILLED = 137
FIRST_CHARACTERS = {"stdout": 24_000, "stderr": 8_000}


@dataclass
class Shell:
    """An invocation's process."""

    invocation: Invocation
    process: "subprocess.Popen[bytes]"
    output: Path
    until: float

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def read(self, name: str) -> str:
        with (self.output / name).open("rb") as stream:
            return stream.read(4 * FIRST_CHARACTERS[name]).decode(errors="replace")[: FIRST_CHARACTERS[name]]


class SystemsManager:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._shells: dict[tuple[str, str], Shell] = {}
        self._curl = instance_shell.host_curl()

    def install(self) -> None:
        ssm_agents.install()
        ssm_answers.install()
        ssm_requests.install(self.lab.clock)
        patches.install()

    def tick(self) -> None:
        for instance in all_instances():
            has_agent = instance_shell.has_agent(self.lab.home / "instances" / instance.id)
            ssm_agents.ping(instance, self.lab.clock, has_agent and not instance.cut_off)
        for _, _, backend in ssm_backends.iter_backends():
            for command in commands(backend):
                if command.is_open:
                    self._advance(backend, command)

    def _advance(self, backend: Any, command: Command) -> None:
        if command.invocations is None:
            found = ssm_requests.find_targets(backend, command)
            command.resolve([Invocation(one.id, one.private_dns_name) for one in found])
        for invocation in command.all:
            if invocation.details in ("InProgress", "Cancelling"):
                self._watch(backend, command, invocation)
        for invocation in command.next_to_send():
            invocation.deliver_until = self.lab.clock.deadline(command.timeout_seconds)
        for invocation in command.all:
            if invocation.is_sent and invocation.details in ("Pending", "Delayed"):
                self._deliver(backend, command, invocation)

    def _deliver(self, backend: Any, command: Command, invocation: Invocation) -> None:
        assert invocation.deliver_until is not None  # noqa: S101 - it was its turn
        if instance := ssm_agents.online(backend, invocation.instance_id):
            self._start(backend, command, invocation, instance)
        elif invocation.instance_id not in ssm_agents.managed(backend):
            invocation.end("Undeliverable")
        elif time.monotonic() >= invocation.deliver_until:
            invocation.end("DeliveryTimedOut")
        else:
            invocation.details = "Delayed"

    def _start(self, backend: Any, command: Command, invocation: Invocation, instance: Any) -> None:
        folder = self.lab.folder("instances", instance.id)
        tree = instance_shell.prepare(folder, instance.address, instance.console, self._curl)
        output = self.lab.folder("instances", instance.id, "commands", command.id)
        environment = {
            **self.lab.client_environment(),
            INSTANCE_MARK: instance.id,
            "AWS_SSM_REGION_NAME": backend.region_name,
        }
        directory = (command.parameters.get("workingDirectory") or [""])[0]
        script = "\n".join(command.parameters["commands"]) + "\n"
        invocation.start()
        try:
            process = instance_shell.start(tree, script, output, directory, environment)
        except OSError as error:
            invocation.stderr = f"failed to run commands: chdir {directory}: {error.strerror}"
            invocation.end("Failed", 1)
            return
        limit = max(SHORTEST_LIMIT_SECONDS, self.lab.clock.seconds(command.execution_timeout))
        self._shells[command.id, instance.id] = Shell(invocation, process, output, time.monotonic() + limit)

    def _watch(self, backend: Any, command: Command, invocation: Invocation) -> None:
        shell = self._shells.get((command.id, invocation.instance_id))
        instance = ssm_agents.managed(backend).get(invocation.instance_id)
        if instance is None:
            self._finish(command, invocation, "Undeliverable")
        elif shell is None or not ssm_agents.is_running(instance):
            self._wait_for_lost(command, invocation)
        elif invocation.details == "Cancelling":
            self._finish(command, invocation, "Cancelled", KILLED)
        elif (code := shell.process.poll()) is not None:
            self._finish(command, invocation, "Failed" if code else "Success", code if code >= 0 else 128 - code)
        elif time.monotonic() >= shell.until:
            self._finish(command, invocation, "ExecutionTimedOut", KILLED)

    def _wait_for_lost(self, command: Command, invocation: Invocation) -> None:
        """The instance stopped under a command: nobody reports, and it is given up when the command expires."""
        if shell := self._shells.pop((command.id, invocation.instance_id), None):
            shell.kill()
        assert invocation.deliver_until is not None  # noqa: S101 - it was its turn
        if time.monotonic() >= invocation.deliver_until + self.lab.clock.seconds(command.execution_timeout):
            invocation.end("DeliveryTimedOut")

    def _finish(self, command: Command, invocation: Invocation, details: str, code: int = -1) -> None:
        if shell := self._shells.pop((command.id, invocation.instance_id), None):
            shell.kill()
            if details != "Undeliverable":
                invocation.stdout, invocation.stderr = shell.read("stdout"), shell.read("stderr")
        if details == "Failed":
            invocation.stderr += f"failed to run commands: exit status {code}"
        invocation.end(details, code)

    def status(self) -> dict[str, Any]:
        return {
            instance_id: {"command": command_id, "pid": shell.process.pid}
            for (command_id, instance_id), shell in self._shells.items()
        }

    def reset(self) -> None:
        with self.lab.lock:
            shells, self._shells = list(self._shells.values()), {}
        for shell in shells:
            shell.kill()
