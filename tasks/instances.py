"""An environment's instances, with what four services know of each (P88)."""

from dataclasses import asdict, dataclass

from tasks import ec2, elbv2, launch_template, ssm
from tasks.autoscaling import Group
from tasks.environment import Environment
from tasks.kinds import probe


@dataclass(frozen=True)
class InstanceFacts:
    id: str
    zone: str
    state: str
    health: str
    target: str
    template_version: int
    release: str
    ami_id: str
    ami_age_days: int
    patches: str

    def facts(self) -> dict[str, object]:
        return asdict(self)


@probe
def describe_instances(environment: Environment, group: Group) -> tuple[InstanceFacts, ...]:
    """In the order of their zones; one call per service and page, not per instance."""
    ids = tuple(one.id for one in group.instances)
    amis, patches = ec2.find_amis.fn(ids), ssm.describe_patches.fn(ids)
    targets = {target.id: target.state for target in elbv2.describe_targets.fn(environment)}
    numbers = {one.template_version for one in group.instances}
    made_of = {n: launch_template.describe_version.fn(group.template_id, n).configuration for n in sorted(numbers)}
    found = [
        InstanceFacts(
            one.id,
            one.zone,
            one.state,
            one.health,
            targets.get(one.id, "not registered"),
            one.template_version,
            made_of[one.template_version].digest[:19],
            amis[one.id].id,
            amis[one.id].age_days,
            str(patches.get(one.id, "never scanned")),
        )
        for one in group.instances
        if one.id in amis
    ]
    return tuple(sorted(found, key=lambda one: (one.zone, one.id)))


def table(instances: tuple[InstanceFacts, ...]) -> str:
    heads = "| instance | zone | state | health | target | version | release | image | days old | patches |"
    rows = [f"| {' | '.join(map(str, one.facts().values()))} |" for one in instances]
    return "\n".join([heads, "|---" * 10 + "|", *rows])
