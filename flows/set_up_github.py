"""Set up GitHub: its jobs get into the account by OIDC, each with a role that only it can take, and without a key.

When:     once per account and repository; again after somebody changed a role by hand.
Impact:   makes the provider and two roles, or sets them to what they should be. Nothing that runs is touched.
Rollback: delete the roles demo-flask-app-github-push and -plan; other repositories may use the provider.

Carries out P04 and P05. Where Prefect has the Secret block github-token and the Variable github-repository, the
workflows' variables are set too; elsewhere the report says how.
"""

from typing import Annotated

from pydantic import Field

from tasks import github, github_oidc
from tasks.command_line import run
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def set_up_github(
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,39}/[A-Za-z0-9_.-]{1,100}$")], dry_run: bool = False
) -> str:
    """Make the OIDC provider and the roles of the workflows, and prove who may take each, and for what.

    Args:
        repository: Whose jobs, as owner/name.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("plan"):
        plan = github_oidc.plan_github(repository)
        for role in plan.roles:
            say(f"{role.name} for {role.subject}: {plan.policy(role)['Statement']} {', '.join(role.managed)}")
    if dry_run:
        return plan.provider
    with phase("apply"):
        github_oidc.ensure_provider(plan)
        for role in plan.roles:
            github_oidc.ensure_role(plan, role)
    with phase("verify"):
        github_oidc.require_as_planned(plan)
    with phase("tell GitHub"):
        for role in plan.roles:
            if github.set_variable(role.variable, plan.arn(role)):
                say(f"variable {role.variable} of {repository} is {plan.arn(role)}")
            else:
                say(f"by hand: gh variable set {role.variable} --repo {repository} --body {plan.arn(role)}")
    return plan.provider


if __name__ == "__main__":
    run(set_up_github)
