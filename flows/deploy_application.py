"""Deploy a release: replace every instance by one that runs another image, without losing a request.

When:     after an image was pushed and scanned; CI runs this very procedure.
Impact:   none on capacity: new instances serve before old ones are drained. A release that does not become healthy,
          or makes the service suffer, is undone by itself and the run ends red.
Rollback: by itself while it runs; afterwards deploy the previous digest.

Carries out P12, P13, P14 (and D02, D03, D13, D18, D19, N18).
"""

from typing import Annotated

from pydantic import Field

from tasks import application, approval, autoscaling, ecr, elbv2, gate, instance_refresh, launch_template
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import Environment, EnvironmentName, describe_environment
from tasks.errors import VerificationFailed, WaitTimedOut
from tasks.procedure import procedure
from tasks.release import Release, find_again, find_release, record_verified, require_not_failed
from tasks.report import phase, say
from tasks.rollout import ReleasePlan, RolloutPlan, plan_rollout


@procedure
def deploy_application(
    environment: EnvironmentName,
    image: str,
    batch_percentage: Annotated[int, Field(ge=1, le=100)] = 20,
    bake_minutes: Annotated[int, Field(ge=0, le=120)] = 5,
    approved_plan: str | None = None,
    dry_run: bool = False,
) -> str:
    """Roll a release out, watch it from inside and outside, prove that every instance serves it, or undo it.

    Args:
        environment: Which environment to change.
        image: Digest of the image, `sha256:...`. A tag is refused, because it can move.
        batch_percentage: How much of the group is replaced at a time; never less than one instance.
        bake_minutes: How long AWS goes on watching the critical alarms after the last instance.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        wanted = ecr.describe_image(image)
        ecr.require_scanned(wanted)
        lock.require_free(environment)
        release = find_release(where, wanted.reference)
        group = autoscaling.describe_group(where.asg_name)
        if release.stage == "new":
            autoscaling.require_replaceable(group)
            gate.require_calm(where)
    with phase("plan"):
        rollout = plan_rollout(group.desired_capacity, batch_percentage, group.warmup_seconds, bake_minutes * 60)
        plan = ReleasePlan(environment, release.image, release.replaced_image, rollout)
        say(f"plan {plan.hash}, {release.stage}: {plan}")
    if dry_run:
        return plan.hash
    if release.stage in ("new", "begun"):
        with phase("approve"):
            approval.require_approval(environment, plan.hash, str(plan), approved_plan)
    with lock.change_lock(environment, "deploy-application") as lease:
        release = find_again(where, release)
        try:
            require_not_failed(release)
            if release.stage != "live":
                _replace_instances(where, release, rollout, lease)
            _require_served(where, wanted.tags)
            record_verified(where, release.image)
        except (VerificationFailed, WaitTimedOut) as failure:
            _undo(where, release, rollout, lease, failure)
    return plan.hash


def _replace_instances(where: Environment, release: Release, rollout: RolloutPlan, lease: lock.Lease) -> None:
    with phase("apply"):
        version = launch_template.create_version(release.current, release.image)
        lease.require_held()
        refresh = instance_refresh.start_instance_refresh(where, version.number, rollout)
        say(f"instance refresh {refresh.id} to {version}")
    with phase("watch"):
        instance_refresh.wait_until_refreshed(refresh, rollout, gate.service_gate(where, rollout.lowest_capacity))


def _require_served(where: Environment, versions: tuple[str, ...]) -> None:
    with phase("verify"):
        group = autoscaling.require_all_on_current(where.asg_name)
        elbv2.wait_until_targets_healthy(where, group.desired_capacity)
        ids = tuple(instance.id for instance in group.in_service)
        answers = application.require_every_instance_serves(where, ids, versions)
        say(f"served by {', '.join(f'{instance} ({n} answers)' for instance, n in answers.items())}")


def _undo(where: Environment, release: Release, rollout: RolloutPlan, lease: lock.Lease, failure: Exception) -> None:
    """Back to the version before, proven the same way; nothing of the failed release stays but the report."""
    with phase("undo"):
        say(f"because {failure}")
        lease.require_held()
        made = find_release(where, release.image)
        if made.attempt is None or made.attempt.previous is None or not made.can_be_undone:
            raise VerificationFailed(
                f"{failure}. It was not undone: there is no version known to go back to"
            ) from failure
        instance_refresh.roll_back(where, made.attempt.previous, rollout)
        autoscaling.require_all_on(where.asg_name, made.attempt.previous)
        application.wait_until_healthy(where)
        launch_template.delete_version(made.attempt)
    raise VerificationFailed(f"{failure}. {where} serves the version before again.") from failure


if __name__ == "__main__":
    run(deploy_application)
