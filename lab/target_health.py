"""Targets as the elbv2 API tells them: registered, checked, draining, gone; never healthy by assertion.

Extends moto's FakeTargetGroup: `targets` is keyed by "Id:Port", `draining` holds what was deregistered and
still drains. A target is a dict of Id, Port, Registration, and what the load balancer saw: Health, InFlight.
"""

import ipaddress
import sys
import uuid
from typing import Any

from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup, elbv2_backends

from lab.clock import Clock
from lab.extend import AWSError, Method, around

Health = tuple[str, str | None, str | None]

REGISTERING: Health = ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
DRAINING: Health = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
NOT_REGISTERED: Health = (
    "unused",
    "Target.NotRegistered",
    "Target is not registered to the target group",
)
NOT_IN_USE: Health = (
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
STOPPED: Health = ("unused", "Target.InvalidState", "Target is in the stopped state")

# An app and a network don't get faster with the lab's clock, so these are the shortest real ones.
SHORTEST_INTERVAL_SECONDS = 0.1
SHORTEST_TIMEOUT_SECONDS = 1.0
CONNECT_SECONDS = 10.0  # AWS's own, not to be set


def install() -> None:
    @around(FakeTargetGroup, "__init__")
    def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.draining = {}

    FakeTargetGroup.load_balancer_arns = property(load_balancers_using, lambda _self, _value: None)
    FakeTargetGroup.register = register
    FakeTargetGroup.deregister = deregister
    FakeTargetGroup.deregister_terminated_instances = deregister_instances
    FakeTargetGroup.health_for = lambda self, target, _ec2: health_status(self, target)

    @around(ELBv2Backend, "describe_target_health")
    def describe_target_health(original: Method, self: Any, arn: str, targets: Any) -> Any:
        if targets or arn not in self.target_groups:
            return original(self, arn, targets)
        group = self.target_groups[arn]
        known = [*group.targets.values(), *group.draining.values()]
        return [health_status(group, target) for target in known]


def register(group: Any, targets: list[dict[str, Any]]) -> None:
    for target in targets:
        require_registrable(group, target["Id"])
    for target in targets:
        key, port = _key(group, target)
        if key not in group.targets:
            group.draining.pop(key, None)
            group.targets[key] = {"Id": target["Id"], "Port": port, "Registration": uuid.uuid4().hex}


def require_registrable(group: Any, target_id: str) -> None:
    if group.target_type == "ip":
        try:
            ipaddress.ip_address(target_id)
        except ValueError:
            raise AWSError("ValidationError", f"The IP address '{target_id}' is not a valid IPv4 address") from None
    if group.target_type == "instance":
        instance = group.ec2_backend.get_instance_by_id(target_id)
        if instance is None:
            raise AWSError("InvalidTarget", f"The following targets do not exist: '{target_id}'")
        if instance.state != "running":
            refusal = "are not in a running state and cannot be registered"
            raise AWSError("InvalidTarget", f"The following targets {refusal}: '{target_id}'")


def deregister(group: Any, targets: list[dict[str, Any]]) -> None:
    """Stop sending requests. A target that is not there is no error, as AWS documents."""
    for target in targets:
        key, _ = _key(group, target)
        gone = group.targets.pop(key, None)
        if gone and load_balancers_using(group) and not is_stopped(group, gone):
            group.draining[key] = {**gone, "Health": DRAINING}


def deregister_instances(group: Any, instance_ids: list[str]) -> None:
    deregister(group, [target for target in group.targets.values() if target["Id"] in instance_ids])


def settle(group: Any) -> None:
    """Let go of terminated instances, and of what drains from a group that no load balancer uses any more."""
    if group.target_type == "instance":
        ids = {target["Id"] for target in group.targets.values()}
        deregister_instances(group, [one for one in ids if _instance_state(group, one) in GONE])
    in_use = bool(load_balancers_using(group))
    if not in_use:
        group.draining.clear()
    for target in group.targets.values():
        if not in_use or is_stopped(group, target):
            target.pop("Health", None)  # when it is checked again, it starts anew


GONE = ("shutting-down", "terminated", None)


def _instance_state(group: Any, instance_id: str) -> str | None:
    instance = group.ec2_backend.get_instance_by_id(instance_id)
    return instance.state if instance else None


def is_stopped(group: Any, target: dict[str, Any]) -> bool:
    return group.target_type == "instance" and _instance_state(group, target["Id"]) in ("stopping", "stopped")


def load_balancers_using(group: Any) -> list[str]:
    """The load balancers that have a listener or rule that forwards to this target group."""
    backend = elbv2_backends[group.account_id][group.region_name]
    return [balancer.arn for balancer in backend.load_balancers.values() if group.arn in forwards_to(backend, balancer)]


def forwards_to(backend: Any, balancer: Any) -> set[str]:
    return {
        arn
        for listener in balancer.listeners.values()
        for rule in listener.rules.values()
        for action in rule.actions
        for arn in backend._get_target_group_arns_from(action.data)
    }


def health_status(group: Any, target: dict[str, Any]) -> FakeHealthStatus:
    key, port = _key(group, target)
    known = group.targets.get(key) or group.draining.get(key)
    health_port = str(port) if group.health_check_port == "traffic-port" else group.health_check_port
    return FakeHealthStatus(target["Id"], port, health_port, *_health(group, known))


def _health(group: Any, target: dict[str, Any] | None) -> Health:
    if target is None:
        return NOT_REGISTERED
    if not load_balancers_using(group):
        return NOT_IN_USE
    if is_stopped(group, target):
        return STOPPED
    health: Health = target.get("Health", REGISTERING)
    return health


def _key(group: Any, target: dict[str, Any]) -> tuple[str, int]:
    port = int(target.get("Port") or group.port or 0)
    return f"{target['Id']}:{port}", port


def note_observed(group: Any, observed: dict[str, Any]) -> None:
    """Write down what the load balancer's process saw, by registration."""
    for key, target in [*group.targets.items(), *group.draining.items()]:
        if seen := observed.get(target["Registration"]):
            target["InFlight"] = seen["in_flight"]
            if key in group.targets and seen["health"][0] != "draining":
                target["Health"] = tuple(seen["health"])
            elif seen["drained"]:
                group.draining.pop(key, None)


def wanted_state(group: Any, clock: Clock) -> dict[str, Any]:
    """What the load balancer's process must know of this target group, in this machine's seconds."""
    delay = float(group.attributes["deregistration_delay.timeout_seconds"])
    interval = clock.seconds(float(group.health_check_interval_seconds))
    timeout = clock.seconds(float(group.health_check_timeout_seconds))
    registered = [one for one in group.targets.values() if not is_stopped(group, one)]
    return {
        "protocol": group.protocol,
        "connect_timeout": CONNECT_SECONDS,
        "unreachable_after": max(clock.seconds(CONNECT_SECONDS), SHORTEST_TIMEOUT_SECONDS),
        "delay_idle": clock.seconds(delay),
        "delay_in_flight": max(delay, clock.seconds(delay)),
        "health_check": {
            "enabled": str(group.health_check_enabled).lower() == "true",
            "protocol": group.health_check_protocol,
            "port": group.health_check_port,
            "path": group.health_check_path or "/",
            "matcher": (group.matcher or {}).get("HttpCode", "200"),
            "interval": max(interval, SHORTEST_INTERVAL_SECONDS),
            "timeout": max(timeout, SHORTEST_TIMEOUT_SECONDS),
            "healthy_threshold": int(group.healthy_threshold_count),
            "unhealthy_threshold": int(group.unhealthy_threshold_count),
        },
        "targets": [_wanted_target(group, one, False) for one in registered]
        + [_wanted_target(group, one, True) for one in group.draining.values()],
    }


def _wanted_target(group: Any, target: dict[str, Any], draining: bool) -> dict[str, Any]:
    return {
        "registration": target["Registration"],
        "port": target["Port"],
        "address": _address(target["Id"]) if group.target_type == "instance" else target["Id"],
        "draining": draining,
    }


def _address(instance_id: str) -> str | None:
    if "lab.ec2" not in sys.modules:  # without that part nothing answers on an instance
        return None
    address: str | None = sys.modules["lab.ec2"].instance_address(instance_id)
    return address
