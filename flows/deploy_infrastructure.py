"""Deploy infrastructure: plan, approve, and apply exactly that plan.

When:     after a merged change to terraform/, or by hand in an emergency; CI runs this very procedure.
Impact:   as the plan says; a plan that destroys or replaces a database, bucket, load balancer ... is refused unless
          each is named in allow_loss. Running instances keep what they run.
          A database that was lost is not replaced by an empty one: recover_infrastructure brings it back.
Rollback: rollback_infrastructure takes a commit back (P16); the state keeps its versions.

Carries out P08, P09, P10, P11 (and D13, D28), and P69 up to its restore: backup_replica = true in terraform.tfvars.
The image that runs is kept: releases go through deploy_application.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tasks import approval, gate, git, infrastructure, lost_database, rds, terraform
from tasks import change_lock as lock
from tasks import database_recovery as recovery
from tasks import secretsmanager as secrets
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.parameters import ImageReference, PlanHash, Reason, ResourceAddresses
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.terraform_plan import require_no_loss


@procedure
def deploy_infrastructure(
    environment: EnvironmentName,
    image: ImageReference | None = None,
    commit: Annotated[str | None, Field(pattern="^[0-9a-f]{7,40}$")] = None,
    allow_loss: ResourceAddresses | None = None,
    despite: Reason | None = None,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Bring an environment to what the Terraform code says, and prove that nothing is left to do.

    Args:
        environment: Which environment to change.
        image: Digest of the image that a new environment starts with; an existing one keeps its own.
        commit: Whose Terraform code it is, a merged one; empty takes what is checked out where this runs, as it is.
        allow_loss: Addresses of stateful resources that this plan may destroy or replace.
        despite: Why this goes on although the gate refuses, such as the incident's number; empty obeys it.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        say(f"terraform {terraform.require_terraform()}")
        lock.require_free(environment)
        recovery.require_none_unfinished(environment)
        lost_database.require_not_lost(environment)
        code = git.exported(git.require_merged(commit), "terraform") if commit else nullcontext(terraform.SOURCE)
    with code as source:
        return _deploy(environment, source, image, allow_loss or [], despite, approved_plan, dry_run)


def _deploy(
    environment: EnvironmentName,
    source: Path,
    image: str | None,
    allow_loss: list[str],
    despite: str | None,
    approved_plan: str | None,
    dry_run: bool,
) -> str:
    with phase("look up"):
        inputs = infrastructure.read_inputs(environment, image, source)
    password = inputs.password or secrets.make_password()
    with terraform.workspace(environment, inputs.variables, {"db_password": password}, source) as workspace:
        with phase("plan"):
            terraform.init(workspace)
            terraform.free_state(workspace)
            plan = terraform.plan(workspace)
            infrastructure.show_plan(plan)
            require_no_loss(plan, allow_loss)
            say(f"policy: nothing is lost that was not named ({', '.join(allow_loss) or 'nothing was'})")
            say(f"cost: {plan.billed()}")
        if dry_run:
            return plan.hash
        if not plan.is_empty:
            with phase("approve"):
                gate.require_allowed(environment, risk="high", despite=despite)
                people = 2 if allow_loss else 1
                approval.require_approval(environment, plan.hash, plan.table(), approved_plan, people)
            with lock.change_lock(environment, "deploy-infrastructure") as lease, phase("apply"):
                infrastructure.require_unmoved(inputs)
                gate.enter(environment, risk="high", despite=despite)
                if not inputs.password:
                    rds.set_master_password(environment, password)
                lease.require_held()
                terraform.apply(workspace, plan)
        with phase("verify"):
            terraform.require_nothing_to_do(workspace)
            infrastructure.require_serving(environment)
    return plan.hash


if __name__ == "__main__":
    run(deploy_infrastructure)
