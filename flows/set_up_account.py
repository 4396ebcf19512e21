"""Set up the account: Terraform's state bucket and lock table, and the image repository that all environments share.

When:     once per account, before the first environment; again whenever you like.
Impact:   creates what is missing, changes nothing that runs.
Rollback: none needed; the bucket keeps every version of every state.

Carries out P03 and P06, and S06 and S14 of the runbook.
"""

from tasks import state_backend, terraform
from tasks.change_lock import change_lock
from tasks.command_line import run
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.terraform_plan import require_no_loss

SHARED = "shared"


@procedure
def set_up_account(dry_run: bool = False) -> None:
    """Create the Terraform backend and the shared image repository, or prove that they are there.

    Args:
        dry_run: Stop after the plan and change nothing but the empty backend.
    """
    with phase("check"):
        say(f"terraform {terraform.require_terraform()}")
        state_backend.ensure_state_bucket(terraform.state_bucket())
        state_backend.ensure_lock_table()
    with terraform.workspace(SHARED, {}) as workspace:
        with phase("plan"):
            terraform.init(workspace)
            terraform.free_state(workspace)
            plan = terraform.plan(workspace)
            say(plan.counts())
            require_no_loss(plan, [])
        if dry_run or plan.is_empty:
            return
        with change_lock(SHARED, "set-up-account"):
            with phase("apply"):
                terraform.apply(workspace, plan)
            with phase("verify"):
                terraform.require_nothing_to_do(workspace)


if __name__ == "__main__":
    run(set_up_account)
