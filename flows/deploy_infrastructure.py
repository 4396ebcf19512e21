"""Deploy infrastructure: plan, approve, and apply exactly that plan.

When:     after a merged change to terraform/, or by hand in an emergency; CI runs this very procedure.
Impact:   as the plan says; a plan that destroys or replaces a database, bucket, load balancer ... is refused unless
          each is named in allow_loss. Running instances keep what they run.
Rollback: revert the commit and run this again (P16); the state keeps its versions.

Carries out P08, P09, P10, P11 (and D13, D28). The image that runs is kept: releases go through deploy_application.
"""

from tasks import acm, application, approval, autoscaling, elbv2, instance_refresh, launch_template, rds, terraform
from tasks import change_lock as lock
from tasks import secretsmanager as secrets
from tasks.command_line import run
from tasks.ecr import describe_image, require_scanned
from tasks.environment import PROJECT, EnvironmentName, describe_environment
from tasks.errors import PreconditionFailed
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.terraform_plan import Plan, require_no_loss


@procedure
def deploy_infrastructure(
    environment: EnvironmentName,
    image: str | None = None,
    allow_loss: list[str] | None = None,
    approved_plan: str | None = None,
    dry_run: bool = False,
) -> str:
    """Bring an environment to what the Terraform code says, and prove that nothing is left to do.

    Args:
        environment: Which environment to change.
        image: Digest of the image that a new environment starts with; an existing one keeps its own.
        allow_loss: Addresses of stateful resources that this plan may destroy or replace.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        say(f"terraform {terraform.require_terraform()}")
        lock.require_free(environment)
        variables = {"image": _image_to_run(environment, image), **_certificate(environment)}
        known_password = secrets.read_database_password(environment)
    password = known_password or secrets.make_password()
    with terraform.workspace(environment, variables, {"db_password": password}) as workspace:
        with phase("plan"):
            terraform.init(workspace)
            terraform.free_state(workspace)
            plan = terraform.plan(workspace)
            _show(plan)
            require_no_loss(plan, allow_loss or [])
        if dry_run:
            return plan.hash
        if not plan.is_empty:
            with phase("approve"):
                approval.require_approval(environment, plan.hash, plan.table(), approved_plan)
            with lock.change_lock(environment, "deploy-infrastructure") as lease, phase("apply"):
                if not known_password:
                    rds.set_master_password(environment, password)
                lease.require_held()
                terraform.apply(workspace, plan)
        with phase("verify"):
            terraform.require_nothing_to_do(workspace)
            _require_serving(environment)
    return plan.hash


def _image_to_run(environment: EnvironmentName, image: str | None) -> str:
    """What runs now; for a new environment, the image that was asked for."""
    group = autoscaling.find_group(f"{PROJECT}-{environment}-asg")
    running = launch_template.describe_version(group.template_id, group.template_version).image if group else None
    if group:
        instance_refresh.require_no_other_refresh(instance_refresh.find_refresh(group.name))
    if running is None and image is None:
        raise PreconditionFailed(
            f"{PROJECT}-{environment} is not built yet and no image was given, expected the digest of its first"
            " release: --image sha256:..."
        )
    if image is None and running:
        return running
    wanted = describe_image(image or "")
    require_scanned(wanted)
    if running and wanted.reference != running:
        raise PreconditionFailed(
            f"{PROJECT}-{environment} runs {running}, asked for {wanted.reference}: a new release replaces instances"
            " one by one and is not for Terraform. Run: python -m flows.deploy_application"
        )
    return wanted.reference


def _certificate(environment: EnvironmentName) -> dict[str, str]:
    found = acm.find_certificate(terraform.read_settings(environment)["domain_name"])
    return {"ssl_certificate_arn": found.arn} if found else {}


def _show(plan: Plan) -> None:
    say(f"plan {plan.hash}: {plan.counts()}")
    for line in plan.table().splitlines():
        say(line)


def _require_serving(environment: EnvironmentName) -> None:
    found = describe_environment(environment)
    group = autoscaling.describe_group(found.asg_name)
    elbv2.wait_until_targets_healthy(found, group.desired_capacity)
    say(f"{found.alb_url}/health: {application.wait_until_healthy(found)}")
    if older := [i.id for i in group.instances if i.template_version != group.template_version]:
        say(f"still on an older launch template version, until they are refreshed: {', '.join(older)}")


if __name__ == "__main__":
    run(deploy_infrastructure)
