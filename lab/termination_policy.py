"""Which instance a scale-in takes. Source: user guide, "Default termination policy" and "Termination policies"."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    instance_id: str
    availability_zone: str
    launched_at: float
    template_version: int = 0
    protected: bool = False


def choose(members: Sequence[Candidate], count: int, policies: Sequence[str] = ("Default",)) -> list[str]:
    """Up to `count` of the group's members, in the order in which they go. Protected ones never do."""
    left, chosen = list(members), list[str]()
    while len(chosen) < count and (victim := _next(left, policies)):
        chosen.append(victim.instance_id)
        left.remove(victim)
    return chosen


def _next(members: Sequence[Candidate], policies: Sequence[str]) -> Candidate | None:
    sizes = Counter(one.availability_zone for one in members)
    free = [one for one in members if not one.protected]
    if not free:
        return None
    largest = max(sizes[one.availability_zone] for one in free)
    among = [one for one in free if sizes[one.availability_zone] == largest]
    for policy in policies:
        if rank := RANKS.get(policy):
            lowest = min(rank(one) for one in among)
            among = [one for one in among if rank(one) == lowest]
    return min(among, key=lambda one: one.launched_at)


# ClosestToNextInstanceHour and AllocationStrategy have no meaning where nothing is billed: they rank all the same.
RANKS: dict[str, Callable[[Candidate], float]] = {
    "Default": lambda one: one.template_version,
    "OldestLaunchTemplate": lambda one: one.template_version,
    "OldestLaunchConfiguration": lambda one: one.template_version,
    "OldestInstance": lambda one: one.launched_at,
    "NewestInstance": lambda one: -one.launched_at,
}
