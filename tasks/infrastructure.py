"""What a plan has to know of what runs now, and the proof, after it was applied, that the environment serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tasks import acm, application, autoscaling, elbv2, instance_refresh, launch_template, secretsmanager, terraform
from tasks.ecr import describe_image, require_scanned
from tasks.environment import PROJECT, EnvironmentName, describe_environment, read_outputs
from tasks.errors import PreconditionFailed
from tasks.launch_template import Configuration
from tasks.report import say
from tasks.terraform_plan import Plan


@dataclass(frozen=True)
class Inputs:
    """What Terraform is told beside its code, all of it looked up."""

    environment: EnvironmentName
    variables: Mapping[str, str]
    password: SecretStr | None  # the database's; None until it has one
    running: Configuration | None  # what the instances are made of; None before they are built

    @property
    def secrets(self) -> dict[str, SecretStr]:
        return {"db_password": self.password} if self.password else {}


def read_inputs(environment: EnvironmentName, image: str | None = None, source: Path = terraform.SOURCE) -> Inputs:
    """Look them up for the Terraform code in `source`.

    Raises:
        PreconditionFailed: an instance refresh runs, or the image that was asked for is not the one that runs.
    """
    running = _running(environment)
    certificate = acm.find_certificate(terraform.read_settings(environment, source)["domain_name"])
    variables = {"image": _image_to_run(environment, running.image if running else None, image)}
    if running:
        variables["ami_id"] = running.ami_id
    usual = f"{PROJECT}-{environment}-db"
    if (serving := read_outputs(environment).get("db_identifier", usual)) != usual:
        variables["db_identifier"] = serving
    if certificate:
        variables["ssl_certificate_arn"] = certificate.arn
    return Inputs(environment, variables, secretsmanager.read_database_password(environment), running)


def require_unmoved(inputs: Inputs) -> None:
    """Ask again once nobody else may change the environment: Terraform's state does not know that a release moved."""
    running = _running(inputs.environment)
    if inputs.running and running != inputs.running:
        raise PreconditionFailed(
            f"{PROJECT}-{inputs.environment} moved to {running} while this run waited for it, expected"
            f" {inputs.running}. Nothing was changed. Start again: the plan will be another one."
        )


def show_plan(plan: Plan) -> None:
    say(f"plan {plan.hash}: {plan.counts()}")
    for line in plan.table().splitlines():
        say(line)


def require_serving(environment: EnvironmentName) -> None:
    """Every target is healthy and the application answers."""
    found = describe_environment(environment)
    group = autoscaling.describe_group(found.asg_name)
    elbv2.wait_until_targets_healthy(found, group.desired_capacity)
    say(f"{found.alb_url}/health: {application.wait_until_healthy(found)}")
    if older := [i.id for i in group.instances if i.template_version != group.template_version]:
        say(f"still on an older launch template version, until they are refreshed: {', '.join(older)}")


def _running(environment: EnvironmentName) -> Configuration | None:
    group = autoscaling.find_group(f"{PROJECT}-{environment}-asg")
    if group is None:
        return None
    instance_refresh.require_no_other_refresh(instance_refresh.find_refresh(group.name))
    return launch_template.describe_version(group.template_id, group.template_version).configuration


def _image_to_run(environment: EnvironmentName, running: str | None, image: str | None) -> str:
    """What runs now; for a new environment, the image that was asked for."""
    if running is None and image is None:
        raise PreconditionFailed(
            f"{PROJECT}-{environment} is not built yet and no image was given, expected the digest of its first"
            f" release. Run: python -m flows.deploy_infrastructure --environment {environment} --image sha256:..."
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
