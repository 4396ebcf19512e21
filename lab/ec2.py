"""Amazon EC2: each instance whose user data runs a container has a real one, on an address of its own."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.ec2.models import ec2_backends

from lab import amis, instance_docker, instances, launch_template
from lab.awslogs import LogStream
from lab.container import Container
from lab.docker_run import DockerError, DockerRun, find_docker_run
from lab.ec2_metrics import CPUMetrics
from lab.instance_shell import AGENT_STOPPED, INSTANCE_MARK
from lab.instances import enter, finish_termination
from lab.lab import Lab
from lab.processes import end_marked
from lab.pull import DAEMON, Pulled, find_image, unpack

BOOT_SECONDS = 20.0
FORGET_SECONDS = 3600.0
LOG_SECONDS = 0.3  # of this machine: how late a line may be in CloudWatch Logs
GONE = ("terminated", "stopped")


def all_instances() -> Iterator[Any]:
    for _, _, backend in ec2_backends.iter_backends():
        for reservation in backend.reservations.values():
            yield from reservation.instances


def instance_address(instance_id: str) -> str | None:
    """The loopback address on which this instance's ports answer, or None when it has ended or is cut off."""
    for instance in all_instances():
        if instance.id == instance_id and instance.state not in GONE and not instance.cut_off:
            address: str = instance.address
            return address
    return None


@dataclass
class Machine:
    """What really stands for an instance."""

    instance: Any
    folder: Path
    due: float  # when AWS would have booted it
    busy: bool = False
    booted: bool = False
    boots: int = 0
    abandoned: bool = False
    container: Container | None = None
    stream: LogStream | None = None
    trouble: str | None = None
    logs_due: float = 0.0
    told: dict[str, Any] | None = None  # what the instance's `docker` last heard of its container
    began: float = field(default_factory=time.monotonic)

    def record(self, source: str, text: str) -> None:
        self.instance.console.append(f"[{time.monotonic() - self.began:12.6f}] {source}: {text}")

    def tell_docker(self) -> None:
        facts = self.container and self.container.facts()
        if facts and facts != self.told:
            self.told = facts
            (self.folder / instance_docker.FACTS).write_text(json.dumps(facts))


class ElasticComputeCloud:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._machines: dict[str, Machine] = {}
        self._metrics = CPUMetrics()

    def install(self) -> None:
        instances.install(self.lab.network, self.lab.clock)
        launch_template.install()
        amis.install()

    def tick(self) -> None:
        for _, _, backend in ec2_backends.iter_backends():
            instances.note_cut_off(backend)
        for instance in all_instances():
            machine = self._machines.get(instance.id)
            if instance.state == "terminated":
                continue
            if machine is None:
                machine = self._machines[instance.id] = self._new_machine(instance)
            if not machine.busy:
                self._advance(machine, instance)
            if machine.container:
                machine.container.freeze(instance.cut_off)
            self._send_lines(machine)
            machine.tell_docker()
        running = [one for one in self._machines.values() if one.instance.state == "running"]
        leaders = ((one.instance, one.container.pid if one.container else None) for one in running)
        self._metrics.publish_once_a_minute(leaders, self.lab.minutes.count)
        self._forget_terminated()

    def _new_machine(self, instance: Any) -> Machine:
        return Machine(instance, self.lab.folder("instances", instance.id), self.lab.clock.deadline(BOOT_SECONDS))

    def _advance(self, machine: Machine, instance: Any) -> None:
        match instance.state:
            case "pending" if not machine.booted:
                self._work(machine, self._boot)
            case "pending" if time.monotonic() >= machine.due:
                enter(instance, "running")
                instance.running_since = time.monotonic()
            case "running" if instance.wants_reboot:
                instance.wants_reboot = False
                self._work(machine, self._reboot)
            case "running" if machine.container and machine.container.is_due_for_restart():
                self._work(machine, self._restart)
            case "shutting-down" | "stopping":
                self._work(machine, self._end)

    def _work(self, machine: Machine, slow: Callable[[Machine], None]) -> None:
        def run() -> None:
            try:
                slow(machine)
            except DockerError as error:
                machine.trouble = str(error)
                machine.record("cloud-init", machine.trouble)
            finally:
                machine.busy = False

        machine.busy = True
        self.lab.work(run)

    def _boot(self, machine: Machine) -> None:
        """Run the user data's container on the first boot; on later ones docker restarts what it had."""
        machine.booted, first = True, machine.boots == 0
        machine.boots += 1
        if not first:
            if machine.container:
                machine.container.revive()
            return
        machine.record("cloud-init", "running user data: of it, the lab does `docker run` alone")
        user_data = machine.instance.user_data
        run = find_docker_run(user_data.decode() if user_data else "", machine.instance.id)
        if run is None:
            machine.record("cloud-init", "no `docker run` in the user data")
            return
        self._run_container(machine, run)

    def _run_container(self, machine: Machine, run: DockerRun) -> None:
        if machine.instance.cut_off:
            raise DockerError(f"{DAEMON} pulling {run.image.text}: net/http: request canceled: i/o timeout")
        with self.lab.lock:
            pulled = find_image(run.image)
        machine.record("docker", f"pulling {run.image.text}: {len(pulled.layers)} layers, digest {pulled.digest}")
        container = self._create(machine, run, pulled)
        if run.log_driver == "awslogs":
            with self.lab.lock:
                machine.stream = LogStream(run, machine.instance.owner_id, container.id)
        if not machine.abandoned:
            container.start()
            machine.container = container
            machine.record("docker", f"container {container.id} started")

    def _create(self, machine: Machine, run: DockerRun, pulled: Pulled) -> Container:
        config = unpack(pulled, machine.folder / "rootfs")
        lab = self.lab
        address = machine.instance.address if run.ports else lab.network.address("instance")
        return Container(run, config, machine.folder, address, lab.clock, lab.client_environment())

    def _reboot(self, machine: Machine) -> None:
        (machine.folder / AGENT_STOPPED).unlink(missing_ok=True)
        if machine.container:
            machine.container.stop()
            machine.container.revive()

    def _restart(self, machine: Machine) -> None:
        if machine.container:
            machine.container.restart()

    def _end(self, machine: Machine) -> None:
        if machine.container:
            machine.container.stop()
        end_marked(INSTANCE_MARK, machine.instance.id)
        with self.lab.lock:
            self._send_lines(machine, now=True)
            (machine.folder / AGENT_STOPPED).unlink(missing_ok=True)
            if machine.instance.state == "stopping":
                enter(machine.instance, "stopped")
                machine.booted, machine.due = False, self.lab.clock.deadline(BOOT_SECONDS)
                return
            finish_termination(machine.instance)
            self._machines.pop(machine.instance.id, None)
        for name in ("rootfs", "tree", "commands"):
            shutil.rmtree(machine.folder / name, ignore_errors=True)

    def _send_lines(self, machine: Machine, now: bool = False) -> None:
        if machine.container is None or (time.monotonic() < machine.logs_due and not now):
            return
        machine.logs_due = time.monotonic() + LOG_SECONDS
        lines = machine.container.take_lines()
        if lines and machine.stream:
            machine.stream.put(lines)

    def _forget_terminated(self) -> None:
        """AWS shows a terminated instance for about an hour."""
        oldest = time.monotonic() - self.lab.clock.seconds(FORGET_SECONDS)
        for _, _, backend in ec2_backends.iter_backends():
            for key, reservation in list(backend.reservations.items()):
                kept = [one for one in reservation.instances if (one.terminated_at or oldest + 1) > oldest]
                reservation.instances = kept
                if not kept:
                    del backend.reservations[key]

    def status(self) -> dict[str, Any]:
        return {name: _describe(machine) for name, machine in self._machines.items()}

    def reset(self) -> None:
        with self.lab.lock:
            machines, self._machines = list(self._machines.values()), {}
        for machine in machines:
            machine.abandoned = True
            self.lab.work(_clear, machine)


def _clear(machine: Machine) -> None:
    if machine.container:
        machine.container.stop()
    end_marked(INSTANCE_MARK, machine.instance.id)
    shutil.rmtree(machine.folder, ignore_errors=True)


def _describe(machine: Machine) -> dict[str, Any]:
    container = machine.container
    return {
        "state": machine.instance.state,
        "address": machine.instance.address,
        "image": container and container.run.image.text,
        "container": container and container.describe(),
        "pid": container and container.pid,
        "restarts": container and container.restarts,
        "trouble": machine.trouble,
    }
