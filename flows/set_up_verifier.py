"""Set up the verifier: the database role with which backups are verified, and its secret.

When:     once per environment, after its first deployment; again after a restore, or when its secret no longer opens.
Impact:   none on the service: it adds a role that can read everything and write nothing, four sessions at most.
Rollback: drop role runbook_verifier and delete the secret; nothing else knows of them.

Carries out P24's prerequisite: the source is never written, because who reads it has no such right.
"""

from tasks import approval, gate, secretsmanager, verifier_role
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.parameters import PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def set_up_verifier(environment: EnvironmentName, approved_plan: PlanHash = None, dry_run: bool = False) -> str:
    """Give an environment's database the role that verifies backups, or prove that it has it and what it can't do.

    Args:
        environment: Whose database.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        lock.require_free(environment)
        plan = verifier_role.plan_verifier(environment)
    with phase("plan"):
        say(f"plan {plan.hash}: {plan}")
    if dry_run:
        return plan.hash
    if plan.missing:
        with phase("approve"):
            approval.require_approval(environment, plan.hash, str(plan), approved_plan)
        with phase("apply"), lock.change_lock(environment, "set-up-verifier"):
            gate.enter(environment)
            verifier_role.ensure_role(environment)
            verifier_role.ensure_secret(environment)
    with phase("verify"):
        for fact in verifier_role.require_reads_all_and_writes_nothing(environment):
            say(fact)
    return secretsmanager.verifier_secret_name(environment)


if __name__ == "__main__":
    run(set_up_verifier)
