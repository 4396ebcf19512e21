"""Which instances need another machine, and why (N19)."""

from dataclasses import dataclass

from tasks import ec2, ssm
from tasks.autoscaling import Group, describe_group
from tasks.ec2 import MachineImage
from tasks.errors import PreconditionFailed
from tasks.kinds import probe
from tasks.replacement import Replacement
from tasks.report import say
from tasks.ssm import Patches


@dataclass(frozen=True)
class Need:
    """One instance: what it runs, and what its last patch scan found missing, if it was scanned."""

    instance_id: str
    zone: str
    image: MachineImage
    patches: Patches | None
    is_outdated: bool

    @property
    def reason(self) -> str:
        if not self.is_outdated:
            return "none: it runs the newest image"
        scanned = f"; {self.patches}" if self.patches else "; never scanned by SSM"
        return f"its image is {self.image.age_days} days old and not the newest{scanned}"


@probe
def describe_needs(group: Group, latest: MachineImage) -> tuple[Need, ...]:
    ids = tuple(instance.id for instance in group.instances)
    images, patches = ec2.find_amis.fn(ids), ssm.describe_patches.fn(ids)
    return tuple(
        Need(one.id, one.zone, images[one.id], patches.get(one.id), images[one.id].id != latest.id)
        for one in group.instances
        if one.id in images
    )


def say_needs(needs: tuple[Need, ...], latest: MachineImage) -> None:
    say(f"the newest image is {latest}")
    say("| instance | zone | image | reason to replace it |")
    say("|---|---|---|---|")
    for need in needs:
        say(f"| {need.instance_id} | {need.zone} | {need.image.id} | {need.reason} |")


@probe
def say_closed(before: tuple[Need, ...], group_name: str, latest: MachineImage) -> None:
    """Which CVEs the patch closed, and which are open still or again, as far as SSM has scanned the new instances."""
    after = describe_needs.fn(describe_group.fn(group_name), latest)
    was, still = _open_cves(before), _open_cves(after)
    say(f"CVEs closed: {_names(was - still)}; open: {_names(still)}")


def is_patched(change: Replacement, needs: tuple[Need, ...]) -> bool:
    """Nothing is left to do, nor to prove of a patch that was begun.

    Raises:
        PreconditionFailed: the group is set to the newest image, but something else than a patch brought it there.
    """
    outdated = [need.instance_id for need in needs if need.is_outdated]
    if change.stage != "live":
        return False
    if outdated:
        raise PreconditionFailed(
            f"the group is set to {change.current} with the newest image already, but {', '.join(outdated)} run an"
            " older one, expected a group whose instances follow it: nothing could be rolled back. Replace them with:"
            " python -m flows.refresh_instances"
        )
    return change.verified or change.current.previous is None


def _open_cves(needs: tuple[Need, ...]) -> set[str]:
    return {cve for need in needs if need.patches for cve in need.patches.security}


def _names(cves: set[str]) -> str:
    return ", ".join(sorted(cves)) or "none known"
