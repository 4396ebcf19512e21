"""The arithmetic of a rolling replacement: what it costs in capacity and time, known before it starts (N18)."""

import hashlib
import math
from dataclasses import dataclass, replace

from tasks.errors import PreconditionFailed

LARGEST_RANGE = 100  # MaxHealthyPercentage - MinHealthyPercentage; RefreshPreferences in the AutoScaling API
# What AWS needs besides the warm-up to boot an instance, pass two health checks and drain the old one's connections.
BOOT_SECONDS = 120
DRAIN_SECONDS = 30
LONGER_BAKE_SECONDS = 600


@dataclass(frozen=True)
class RolloutPlan:
    """How a group is replaced: new instances are launched and healthy before old ones are drained and terminated.

    `lowest_capacity` and `highest_capacity` are numbers of instances, `checkpoints` the percentages at which AWS waits
    for `checkpoint_seconds`; `expected_seconds` is AWS's time. A `watched` one is undone when the service suffers; on
    the way back from something bad the service suffers already, and must not stop the cure.
    """

    instances: int
    batch: int
    batches: int
    min_healthy_percentage: int
    max_healthy_percentage: int
    lowest_capacity: int
    highest_capacity: int
    warmup_seconds: int
    bake_seconds: int
    expected_seconds: int
    checkpoints: tuple[int, ...] = ()
    checkpoint_seconds: int = 0
    watched: bool = True

    @property
    def pauses(self) -> int:
        return max(0, len(self.checkpoints) - 1)

    def __str__(self) -> str:
        return (
            f"{self.instances} instances in {self.batches} batches of up to {self.batch}, never fewer than"
            f" {self.lowest_capacity} and never more than {self.highest_capacity} in service,"
            f" about {math.ceil(self.expected_seconds / 60)} min"
            + (f", with pauses at {' and '.join(f'{one} %' for one in self.checkpoints[:-1])}" if self.pauses else "")
        )


def as_way_back(plan: RolloutPlan) -> RolloutPlan:
    return replace(plan, watched=False)


def gently(plan: RolloutPlan) -> RolloutPlan:
    """One instance at a time, and a longer look behind the last: less than what was planned, so within its approval."""
    bake = max(plan.bake_seconds, LONGER_BAKE_SECONDS)
    slower = plan_rollout(plan.instances, 1, plan.warmup_seconds, bake)
    slower = replace(slower, checkpoints=plan.checkpoints, checkpoint_seconds=plan.checkpoint_seconds)
    return replace(slower, expected_seconds=slower.expected_seconds + slower.pauses * slower.checkpoint_seconds)


def with_canary(plan: RolloutPlan, checkpoint_seconds: int) -> RolloutPlan:
    """The same replacement with a pause behind the first instance and one at half: time to find a canary sick.

    The last checkpoint is 100, since AWS replaces nothing beyond it (D01).

    Source: CheckpointPercentages of RefreshPreferences in the AutoScaling API reference.
    """
    canary = math.ceil(100 / plan.instances)
    checkpoints = tuple(sorted({canary, max(canary, 50), 100}))
    paused = replace(plan, checkpoints=checkpoints, checkpoint_seconds=checkpoint_seconds)
    return replace(paused, expected_seconds=plan.expected_seconds + paused.pauses * checkpoint_seconds)


def lowest_capacity(instances: int, min_healthy_percentage: int, max_healthy_percentage: int | None) -> int:
    """How few instances serve at the worst moment of a refresh with these percentages.

    The minimum is rounded up, the maximum down. Where no replacement fits between them, an explicit maximum makes AWS
    launch one instance beyond it; an omitted one makes it terminate one below the minimum: in a group of one, an
    outage (D19).

    Source: RefreshPreferences in the AutoScaling API reference; user guide, "Understand the default values".
    """
    floor = math.ceil(instances * min_healthy_percentage / 100)
    ceiling = instances if max_healthy_percentage is None else instances * max_healthy_percentage // 100
    return floor if floor < ceiling or max_healthy_percentage is not None else floor - 1


def plan_rollout(instances: int, batch_percentage: int, warmup_seconds: int, bake_seconds: int) -> RolloutPlan:
    """Launch before terminate, `batch_percentage` of the group at a time and never less than one instance.

    MinHealthyPercentage is 100, so no batch costs capacity; MaxHealthyPercentage is explicit, because omitting it makes
    AWS terminate and launch at the same time: an outage in a group of one (D19). AWS rounds it down to instances.

    Source: RefreshPreferences in the AutoScaling API reference.
    """
    if instances < 1:
        raise PreconditionFailed("the Auto Scaling group has no instance in service, expected at least 1")
    batch = max(1, instances * batch_percentage // 100)
    max_healthy = 100 + min(LARGEST_RANGE, math.ceil(100 * batch / instances))
    batches = math.ceil(instances / batch)
    return RolloutPlan(
        instances=instances,
        batch=batch,
        batches=batches,
        min_healthy_percentage=100,
        max_healthy_percentage=max_healthy,
        lowest_capacity=lowest_capacity(instances, 100, max_healthy),
        highest_capacity=instances * max_healthy // 100,
        warmup_seconds=warmup_seconds,
        bake_seconds=bake_seconds,
        expected_seconds=batches * (BOOT_SECONDS + warmup_seconds + DRAIN_SECONDS) + bake_seconds,
    )


@dataclass(frozen=True)
class ReplacementPlan:
    """What was shown and approved: what replaces what, and how."""

    environment: str
    wanted: str
    instead_of: str
    rollout: RolloutPlan

    @property
    def hash(self) -> str:
        """Two plans with the same hash do the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.wanted} instead of {self.instead_of} in {self.environment}: {self.rollout}"
