"""Elastic Load Balancing v2: a process per Application Load Balancer, and what the API refuses."""

import hashlib
import http.client
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.acm.models import acm_backends
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer, elbv2_backends

from lab import listener_checks, target_health
from lab.application_elb import Recorder
from lab.extend import AWSError, Method, around
from lab.lab import Lab
from lab.network import can_listen
from lab.processes import spawn, stop

PROJECT = Path(__file__).parents[1]
FIRST_CONTROL_PORT = 9901
FIRST_SHARED_PORT = 8443
EXCHANGE_SECONDS = 0.2
PATIENCE_SECONDS = 5.0


@dataclass
class Node:
    """A load balancer's process as the part knows it. AWS calls these nodes."""

    address: str
    control_port: int
    process: "subprocess.Popen[bytes] | None" = None
    recorder: Recorder = field(default_factory=Recorder)
    busy: bool = False
    abandoned: bool = False
    due: float = 0.0
    told: dict[str, Any] | None = None

    def exchange(self, state: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self.address, self.control_port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", "/", json.dumps(state), {"Content-Type": "application/json"})
            seen: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return seen


class ElasticLoadBalancing:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._nodes: dict[str, Node] = {}

    def install(self) -> None:
        target_health.install()
        FakeLoadBalancer.activate = lambda _self: None  # active when its process answers
        self._install_load_balancers()
        listener_checks.install()

    def _install_load_balancers(self) -> None:
        @around(ELBv2Backend, "create_load_balancer")
        def create_load_balancer(original: Method, backend: Any, name: str, *args: Any, **kwargs: Any) -> Any:
            if any(one.name == name for one in backend.load_balancers.values()):
                words = f"A load balancer with the same name '{name}' exists, but with different settings"
                raise AWSError("DuplicateLoadBalancerName", words)
            balancer = original(backend, name, *args, **kwargs)
            balancer.scheme = balancer.scheme or "internet-facing"
            if balancer.type == "application":
                self._give_address(balancer)
            return balancer

        @around(ELBv2Backend, "delete_load_balancer")
        def delete_load_balancer(original: Method, backend: Any, arn: str) -> None:
            balancer = backend.load_balancers.get(arn)
            if balancer and str(balancer.attrs["deletion_protection.enabled"]).lower() == "true":
                words = f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
                raise AWSError("OperationNotPermitted", words)
            original(backend, arn)

    def _give_address(self, balancer: Any) -> None:
        """The name that clients and Terraform keep: a bare address when 80 and 443 can be had."""
        balancer.address = self.lab.network.address("load-balancer")
        balancer.shared_port = None
        balancer.dns_name = balancer.address
        if not (can_listen(balancer.address, 80) and can_listen(balancer.address, 443)):
            balancer.shared_port = _free_port(balancer.address, FIRST_SHARED_PORT)
            balancer.dns_name = f"{balancer.address}:{balancer.shared_port}"

    def tick(self) -> None:
        balancers = {}
        for _, _, backend in elbv2_backends.iter_backends():
            for group in backend.target_groups.values():
                target_health.settle(group)
            for balancer in backend.load_balancers.values():
                if hasattr(balancer, "address"):
                    balancers[balancer.arn] = balancer
                    self._keep(backend, balancer)
        for arn in self._nodes.keys() - balancers.keys():
            self.lab.work(self._end, self._nodes.pop(arn))

    def _keep(self, backend: Any, balancer: Any) -> None:
        node = self._nodes.get(balancer.arn)
        if node is None or (node.process and node.process.poll() is not None):
            node = Node(balancer.address, _free_port(balancer.address, FIRST_CONTROL_PORT), busy=True)
            self._nodes[balancer.arn] = node
            self.lab.work(self._start, node, balancer.shared_port)
            return
        state = None if node.busy else self._wanted_state(backend, balancer)
        if state and (state != node.told or time.monotonic() >= node.due):
            node.busy = True
            self.lab.work(self._converse, node, backend, balancer, state)
        node.recorder.publish_once_a_minute(backend, balancer, self.lab.minutes.count)

    def _start(self, node: Node, shared_port: int | None) -> None:
        shared = [str(shared_port)] if shared_port else []
        command = [sys.executable, "-m", "lab.load_balancer", node.address, str(node.control_port), *shared]
        log = self.lab.folder("load-balancers") / f"{node.address}.log"
        node.process = spawn(command, cwd=PROJECT, log=log)
        node.busy = False
        if node.abandoned:
            stop(node.process)

    def _end(self, node: Node) -> None:
        node.abandoned = True
        if node.process:
            stop(node.process)

    def _converse(self, node: Node, backend: Any, balancer: Any, state: dict[str, Any]) -> None:
        try:
            seen = node.exchange(state)
        except (OSError, http.client.HTTPException):
            return  # it is starting or was killed: the next tick looks again
        finally:
            node.due = time.monotonic() + EXCHANGE_SECONDS
            node.busy = False
        with self.lab.lock:
            node.told = state
            balancer.state = "active"
            node.recorder.note(seen)
            for arn, observed in seen["targets"].items():
                if group := backend.target_groups.get(arn):
                    target_health.note_observed(group, observed)

    def _wanted_state(self, backend: Any, balancer: Any) -> dict[str, Any]:
        groups = target_health.forwards_to(backend, balancer) & backend.target_groups.keys()
        clock = self.lab.clock
        return {
            "idle_timeout": float(balancer.attrs.get("idle_timeout.timeout_seconds", 60)),
            "listeners": {arn: self._listener(one) for arn, one in balancer.listeners.items()},
            "target_groups": {
                arn: target_health.wanted_state(backend.target_groups[arn], clock) for arn in sorted(groups)
            },
        }

    def _listener(self, listener: Any) -> dict[str, Any]:
        rules = sorted(listener._non_default_rules.values(), key=lambda rule: int(rule.priority))
        return {
            "port": int(listener.port),
            "protocol": listener.protocol,
            "certificate": self._certificate_file(listener.certificate) if listener.certificate else None,
            "rules": [
                {"conditions": rule.conditions, "actions": [action.data for action in rule.actions]}
                for rule in [*rules, *listener._default_rule.values()]
            ],
        }

    def _certificate_file(self, arn: str) -> str | None:
        """Where the load balancer reads certificate, chain and key: another file when they change."""
        _, _, _, region, account, _ = arn.split(":", 5)
        bundle = acm_backends[account][region]._certificates.get(arn)
        if bundle is None:
            return None
        pem = b"\n".join((bundle.key, bundle.cert, getattr(bundle, "own_chain", b"")))
        file = self.lab.folder("load-balancers") / f"{hashlib.sha256(pem).hexdigest()[:16]}.pem"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_bytes(pem)
        return str(file)

    def status(self) -> dict[str, Any]:
        return {
            arn.rsplit("loadbalancer/", 1)[1]: {
                "address": node.address,
                "pid": node.process and node.process.pid,
            }
            for arn, node in self._nodes.items()
        }

    def reset(self) -> None:
        with self.lab.lock:
            nodes, self._nodes = list(self._nodes.values()), {}
        for node in nodes:
            self._end(node)


def _free_port(address: str, first: int) -> int:
    return next(port for port in range(first, 65536) if can_listen(address, port))
