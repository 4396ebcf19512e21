"""moto's Auto Scaling groups with what the lab adds: facts, registration, terminations.

Other parts may read: `group.facts` (GroupFacts); on each of `group.instance_states` the attributes `launched_from`
(the launch template and the version number it really runs), `since` and `in_service_since` (AWS seconds).
"""

import time
from dataclasses import dataclass, field
from typing import Any

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState

from lab.clock import Clock
from lab.extend import Method, around
from lab.scaling_activities import Activity, record, stamp

COUNTED = ("Pending", "InService")


def aws_seconds(clock: Clock) -> float:
    """Now, in the seconds that AWS counts."""
    return time.monotonic() * clock.speed


@dataclass
class GroupFacts:
    surplus: int = 0  # how many more than desired a running refresh wants
    rollout: dict[str, Any] | None = None  # the launch template that a running refresh rolls out
    replacing: bool = False  # a refresh is under way
    to_replace: int = 0  # unhealthy instances that were ended, and not yet launched again
    launch_failures: int = 0
    next_launch_at: float = 0.0
    cause: str = ""  # why the desired capacity changed last
    cooldown_until: float = 0.0
    metrics_minute: int = 0
    deleting: bool = False
    deleted: bool = False
    refreshes: list[Any] = field(default_factory=list)  # newest first


def install() -> None:
    @around(FakeAutoScalingGroup, "__init__")
    def group_init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        self.facts = GroupFacts()
        self.status = self.default_instance_warmup = self.instance_maintenance_policy = None
        self.max_instance_lifetime = None
        original(self, *args, **kwargs)

    @around(InstanceState, "__init__")
    def instance_init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.launched_from = None
        self.since = self.in_service_since = self.launched_at = 0.0
        self.unhealthy_because = self.activity = None

    InstanceState.launch_template = property(lambda self: self.launched_from)
    FakeAutoScalingGroup.set_desired_capacity = _set_desired_capacity
    AutoScalingBackend.update_attached_target_groups = _register_all
    # The control loop sees for itself what became of an instance.
    AutoScalingBackend.notify_terminate_instances = lambda _self, _ids: None


def _set_desired_capacity(group: Any, capacity: int | None) -> None:
    group.desired_capacity = group.min_size if capacity is None else capacity


def _register_all(backend: Any, name: str) -> None:
    group = backend.autoscaling_groups[name]
    for state in group.instance_states:
        if state.lifecycle_state == "InService":
            register(group, state)


def counted(group: Any) -> list[Any]:
    """The instances that make up the group's capacity."""
    return [state for state in group.instance_states if state.lifecycle_state in COUNTED]


def is_suspended(group: Any, *processes: str) -> bool:
    return any(process in group._suspended_processes for process in processes)


def enter(state: Any, lifecycle_state: str, now: float) -> None:
    state.lifecycle_state, state.since = lifecycle_state, now


def target_groups(group: Any) -> list[Any]:
    """Those of the group's target groups that exist: they can be deleted before it."""
    known = group.autoscaling_backend.elbv2_backend.target_groups
    return [known[arn] for arn in group.target_group_arns if arn in known]


def register(group: Any, state: Any) -> None:
    for target_group in target_groups(group):
        target_group.register([{"Id": state.instance_id, "Port": target_group.port}])


def deregister(group: Any, state: Any) -> None:
    for target_group in target_groups(group):
        if any(target["Id"] == state.instance_id for target in target_group.targets.values()):
            target_group.deregister([{"Id": state.instance_id, "Port": target_group.port}])


def begin_termination(group: Any, state: Any, cause: str, now: float) -> Activity:
    """Stop sending requests to the instance; the control loop ends it when the last one is answered."""
    deregister(group, state)
    enter(state, "Terminating", now)
    words = f"Terminating EC2 instance: {state.instance_id}"
    activity = record(group, words, f"At {stamp()} {cause}", **place(state))
    state.activity = activity
    return activity


def place(state: Any) -> dict[str, str]:
    return {
        "Subnet ID": state.instance.subnet_id or "",
        "Availability Zone": state.availability_zone,
        "InvokingAlarms": "",
    }
