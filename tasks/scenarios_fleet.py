"""Drills of the instances: one is lost, a release is bad, the process that replaces them is lost."""

from typing import Any

from tasks import application, autoscaling, aws, broken_image, ec2, ecr, elbv2, instance_refresh, launch_template
from tasks.drill import Abort, BlastRadius, Recovery, Scenario, Situation, Step, Target
from tasks.environment import Environment
from tasks.errors import PreconditionFailed
from tasks.launch_template import Configuration
from tasks.orchestrator import lose_orchestrator
from tasks.replace_instances import Demands, replace_instances, take_back_unfinished
from tasks.replacement import Replacement, find_replacement
from tasks.rollout import RolloutPlan, as_way_back, plan_rollout

NAME = "run-drill"
REFRESH = "refresh-instances"
FEWEST_INSTANCES = 2  # of one, the loss of one is an outage, and no drill
INSTANCE_HOUR_USD = 0.0216  # an estimate for a t3.small, not looked up: check it against the AWS price list
BATCH_PERCENTAGE = 20  # of refresh_instances, as it comes
WAY_BACK_PERCENTAGE = 50


def _is_whole(situation: Situation) -> list[str]:
    """The group has what it wants, its targets are healthy, users are served."""
    where = situation.environment
    group, healthy = autoscaling.describe_group.fn(where.asg_name), elbv2.count_healthy(where)
    reasons = []
    if len(group.in_service) < group.desired_capacity:
        reasons.append(f"{where.asg_name} has {len(group.in_service)} of {group.desired_capacity} instances in service")
    if healthy < group.desired_capacity:
        reasons.append(f"{healthy} targets are healthy, expected {group.desired_capacity}")
    return reasons + application.find_faults(where)


def _usd(instances: int) -> float:
    return round(instances * INSTANCE_HOUR_USD, 2)


# --- lost instance


def _one_instance(where: Environment) -> BlastRadius:
    """The same one for as long as nothing changes: what was approved is what is ended."""
    serving = sorted(one.id for one in autoscaling.describe_group.fn(where.asg_name).in_service)
    if len(serving) < FEWEST_INSTANCES:
        raise PreconditionFailed(
            f"{where.asg_name} has {len(serving)} instances in service, expected {FEWEST_INSTANCES} or more: to end the"
            " last one is an outage. Nothing was changed."
        )
    users = f"requests that {serving[0]} is answering fail; the others go to {len(serving) - 1} other instances"
    return BlastRadius((Target("EC2 instance", serving[0]),), users, _usd(1))


def _end_instance(situation: Situation) -> None:
    ec2.terminate_instances(tuple(target.id for target in situation.targets))


def _nothing(_situation: Situation) -> None:
    """The group launches another one by itself; an instance that has ended can't be had back."""


def _serves_no_longer(situation: Situation) -> list[str]:
    serving = {one.id for one in autoscaling.describe_group.fn(situation.environment.asg_name).in_service}
    return [f"{target} is still in service" for target in situation.targets if target.id in serving]


def _is_replaced(situation: Situation) -> list[str]:
    return [*_serves_no_longer(situation), *_is_whole(situation)]


LOST_INSTANCE = Scenario(
    name="lost-instance",
    question="Does the group replace a lost instance by itself?",
    resolve=_one_instance,
    steady=_is_whole,
    method=(Step("end an instance", _end_instance, _nothing),),
    is_broken=_serves_no_longer,
    recovery=None,
    is_recovered=_is_replaced,
    rto_seconds=600,
    abort=Abort(("-unhealthy-hosts",), after_seconds=1200),
)

# --- what the two drills of a rollout share


def _all_instances(where: Environment) -> BlastRadius:
    group = autoscaling.describe_group.fn(where.asg_name)
    users = "nothing: an instance is drained only when another one is healthy"
    return BlastRadius((Target("Auto Scaling group", group.name),), users, _usd(2 * group.desired_capacity))


def _remember_what_runs(situation: Situation) -> None:
    if "version" in situation.memory:
        return
    where = situation.environment
    group = autoscaling.describe_group(where.asg_name)
    running = launch_template.describe_version(group.template_id, group.template_version)
    newest = instance_refresh.find_refresh(where.asg_name)
    situation.remember("image", running.image)
    situation.remember("ami", running.configuration.ami_id)
    situation.remember("refresh", newest.id if newest else None)
    situation.remember("version", running.number)


def _refreshes_since(situation: Situation) -> list[dict[str, Any]]:
    """Those that began after the drill did, newest first."""
    found = aws.client("autoscaling").describe_instance_refreshes(AutoScalingGroupName=situation.environment.asg_name)
    ids = [one["InstanceRefreshId"] for one in found["InstanceRefreshes"]]
    before = situation.memory["refresh"]
    return list(found["InstanceRefreshes"][: ids.index(before) if before in ids else len(ids)])


def _way_back(situation: Situation) -> RolloutPlan:
    group = autoscaling.describe_group(situation.environment.asg_name)
    return as_way_back(plan_rollout(group.desired_capacity, WAY_BACK_PERCENTAGE, group.warmup_seconds, 0))


def _take_rollout_back(situation: Situation) -> None:
    """What is on its way is rolled back; what went live and is not what ran before is replaced by that."""
    if "version" not in situation.memory:
        return
    where, memory = situation.environment, situation.memory
    group = autoscaling.describe_group(where.asg_name)
    running = launch_template.describe_version(group.template_id, group.template_version)
    if launch_template.find_versions_above(running):
        back = _way_back(situation)
        approved = take_back_unfinished(where, running, back, (), None, dry_run=True)
        take_back_unfinished(where, running, back, (), approved, dry_run=False)
    if running.image != memory["image"]:
        change = find_replacement(where, Configuration(memory["image"], memory["ami"]))
        back = _way_back(situation)
        approved = replace_instances(NAME, where, change, back, Demands(()), None, dry_run=True)
        replace_instances(NAME, where, change, back, Demands(()), approved, dry_run=False)


# --- bad release


def _push_bad_release(situation: Situation) -> None:
    _remember_what_runs(situation)
    digest = situation.memory["image"].rpartition("@")[2]
    situation.remember("bad", broken_image.push_broken_image(digest, situation.name))


def _delete_bad_release(situation: Situation) -> None:
    _take_rollout_back(situation)
    broken_image.delete_image(situation.name)


def _is_on_offer(situation: Situation) -> list[str]:
    ecr.describe_image.fn(situation.memory["bad"])
    return []


def _was_taken_back(situation: Situation) -> list[str]:
    """A rollout was really begun and undone, and nothing of it is left."""
    where, version = situation.environment, situation.memory["version"]
    reasons = _is_whole(situation)
    newest = instance_refresh.find_refresh.fn(where.asg_name)
    if not _refreshes_since(situation) or newest is None:
        reasons.append("no instance refresh was started, expected one that was rolled back")
    elif newest.status != "RollbackSuccessful" and (newest.template_version, newest.status) != (version, "Successful"):
        reasons.append(f"the newest instance refresh is {newest}, expected it rolled back")
    group = autoscaling.describe_group.fn(where.asg_name)
    if other := {one.template_version for one in group.instances} - {version}:
        reasons.append(f"{where.asg_name} runs launch template versions {sorted(other)}, expected only {version}")
    running = launch_template.describe_version.fn(group.template_id, group.template_version)
    if left := launch_template.find_versions_above.fn(running):
        reasons.append(f"{', '.join(map(str, left))} is left, expected none above {running}")
    return reasons


BAD_RELEASE = Scenario(
    name="bad-release",
    question="Is a release that can't start noticed and taken back, without users noticing?",
    resolve=_all_instances,
    steady=_is_whole,
    method=(Step("push a release that ends at once", _push_bad_release, _delete_bad_release),),
    is_broken=_is_on_offer,
    recovery=Recovery(
        "deploy-application",
        lambda situation: {"image": situation.memory["bad"], "bake_minutes": 0},
        must_end="failed",
    ),
    is_recovered=_was_taken_back,
    rto_seconds=1800,
    abort=Abort(("-unhealthy-hosts",)),
)

# --- orchestrator lost


def _find_refresh(situation: Situation) -> Replacement:
    wanted = Configuration(situation.memory["image"], situation.memory["ami"], situation.name)
    return find_replacement.fn(situation.environment, wanted)


def _lose_orchestrator(situation: Situation) -> None:
    _remember_what_runs(situation)
    if _find_refresh(situation).stage != "new":
        return  # an earlier attempt of this drill got as far, and was killed behind it
    parameters = {"environment": situation.environment.environment, "request": situation.name}
    parameters["approved_plan"] = _plan_hash(situation)
    assert situation.lease  # noqa: S101 - a step is done only by who holds the environment
    with situation.lease.handed_over():
        lose_orchestrator(REFRESH, parameters, lambda: bool(_refreshes_since(situation)))


def _plan_hash(situation: Situation) -> str:
    """Of what the process will do: approved with the drill, which tells of it."""
    where, change = situation.environment, _find_refresh(situation)
    group = autoscaling.describe_group(where.asg_name)
    rollout = plan_rollout(group.desired_capacity, BATCH_PERCENTAGE, group.warmup_seconds, 0)
    return replace_instances(REFRESH, where, change, rollout, Demands(()), None, dry_run=True)


def _is_left_alone(situation: Situation) -> list[str]:
    """Its change was begun, and nobody has proven it."""
    change = _find_refresh(situation)
    if change.stage == "new":
        return ["the lost process had begun nothing, expected it in the middle of its change"]
    return ["the lost process had come to its end, expected it in the middle"] if change.verified else []


def _was_done_once(situation: Situation) -> list[str]:
    reasons, change, refreshes = _is_whole(situation), _find_refresh(situation), _refreshes_since(situation)
    if change.stage != "live" or not change.verified:
        reasons.append(f"the change is {change.stage}, verified: {change.verified}, expected it live and verified")
    if len(refreshes) != 1:
        reasons.append(f"{len(refreshes)} instance refreshes were started, expected one change, done once")
    return reasons


ORCHESTRATOR_LOST = Scenario(
    name="orchestrator-lost",
    question="Is a change whose process was lost in the middle ended by the next one, and done once?",
    resolve=_all_instances,
    steady=_is_whole,
    method=(Step("kill the process that replaces the instances", _lose_orchestrator, _take_rollout_back),),
    is_broken=_is_left_alone,
    recovery=Recovery(REFRESH, lambda situation: {"request": situation.name}),
    is_recovered=_was_done_once,
    rto_seconds=3600,
    abort=Abort(("-unhealthy-hosts",)),
)

SCENARIOS = (LOST_INSTANCE, BAD_RELEASE, ORCHESTRATOR_LOST)
