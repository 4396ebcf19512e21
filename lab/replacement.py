"""How many instances of a group may be replaced at once: the arithmetic of the healthy percentages.

Sources: `RefreshPreferences` and `InstanceMaintenancePolicy` in the EC2 Auto Scaling API reference (both are
percentages "of the desired capacity"; what an omitted and an impossible MaxHealthyPercentage mean), and the user
guide on instance refresh (the minimum is "rounded up to the nearest integer"; the outage of a group of one).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Between how many healthy, and how many healthy or pending instances a replacement keeps the group."""

    desired: int
    floor: int
    ceiling: int

    @property
    def launch_first(self) -> int:
        """How many instances may be launched before anything is terminated."""
        return self.ceiling - self.desired

    @property
    def terminate_first(self) -> int:
        """How many instances of a healthy group may be terminated before their replacements are healthy."""
        return self.desired - self.floor

    @property
    def batch(self) -> int:
        """How many instances can be in replacement at the same time."""
        return self.ceiling - self.floor


@dataclass(frozen=True)
class Capacity:
    """A group in the middle of a replacement, in numbers."""

    desired: int
    ready: int  # in service, healthy and warmed up
    old: int  # still to be replaced
    budget: int  # how many of those before the next checkpoint


@dataclass(frozen=True)
class Step:
    """What may be done now: terminate so many old ones, keep so many more than desired."""

    terminate: int
    surplus: int


def bounds(desired: int, min_percentage: int, max_percentage: int | None) -> Bounds:
    """The minimum rounds up and the maximum down, so that neither percentage is ever broken by a fraction.

    When no instance fits between the two, an explicit maximum means that one is launched first, beyond it; an
    omitted one means that an instance is terminated and its replacement launched at the same time, below the
    minimum: a group of one is then out of service for as long as an instance takes to start.
    """
    floor = -(-desired * min_percentage // 100)
    ceiling = desired if max_percentage is None else desired * max_percentage // 100
    if floor < ceiling or desired == 0:
        return Bounds(desired, floor, ceiling)
    if max_percentage is None:
        return Bounds(desired, floor - 1, ceiling)
    return Bounds(desired, floor, ceiling + 1)


def next_step(limits: Bounds, now: Capacity) -> Step:
    """Terminate what the healthy ones can bear, and launch ahead what the maximum allows.

    Capacity lost by a termination is launched again by the group itself, at once: that is not counted here.
    """
    replaceable = min(now.old, now.budget)
    terminate = max(0, min(replaceable, now.ready - limits.floor))
    return Step(terminate, min(limits.launch_first, replaceable - terminate))
