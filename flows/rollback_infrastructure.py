"""Roll the infrastructure back: take one commit back and apply that; or bring a lost Terraform state back.

When:     a change to terraform/ did harm: give its commit. Only when the state itself is lost or corrupt: give one of
          its versions; an older record does not change the cloud, so a sound state is never replaced.
Impact:   as the plan says, with the same loss gate as a deployment. A restored state changes nothing that runs.
Rollback: deploy_infrastructure brings the environment to the checked-out code again; the state keeps its versions.

Carries out P15, P16, P81 (and D16, D28). Until the revert is merged, the next deployment brings the change back.
"""

from typing import Annotated

from pydantic import Field

from tasks import approval, gate, git, github, infrastructure, state_versions, terraform
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.errors import PreconditionFailed
from tasks.parameters import Identifier, PlanHash, ResourceAddresses
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.terraform_plan import Plan, require_no_loss

CODE = "terraform"
LIST = "list"
NAME = "rollback-infrastructure"


@procedure
def rollback_infrastructure(
    environment: EnvironmentName,
    commit: Annotated[str | None, Field(pattern="^[0-9a-f]{7,40}$")] = None,
    restore_state_version: Identifier | None = None,
    allow_loss: ResourceAddresses | None = None,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Take one change back, prove it, and have a pull request open that makes it last; or restore a lost state.

    Args:
        environment: Which environment to change.
        commit: The change to take back, by its sha (7 to 40 digits). This is the normal way.
        restore_state_version: S3 VersionId of the state to restore, only when the current one is lost or corrupt;
            `list` shows them and changes nothing.
        allow_loss: Addresses of stateful resources that the plan may destroy or replace.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        _require_one_way(commit, restore_state_version)
        say(f"terraform {terraform.require_terraform()}")
        lock.require_free(environment)
        revert = _find_revert(commit) if commit else None
    if revert:
        return _take_back(environment, revert, allow_loss or [], approved_plan, dry_run)
    return _restore_state(environment, restore_state_version or LIST, approved_plan, dry_run)


def _take_back(
    environment: EnvironmentName, revert: git.Revert, allow_loss: list[str], approved_plan: str | None, dry_run: bool
) -> str:
    with git.exported(revert.sha, CODE) as source:
        inputs = infrastructure.read_inputs(environment, source=source)
        with terraform.workspace(environment, inputs.variables, inputs.secrets, source) as workspace:
            with phase("plan"):
                plan = _plan(workspace)
                require_no_loss(plan, allow_loss)
            if dry_run:
                return plan.hash
            if not plan.is_empty:
                with phase("approve"):
                    people = 2 if allow_loss else 1
                    approval.require_approval(environment, plan.hash, plan.table(), approved_plan, people)
            with lock.change_lock(environment, NAME) as lease:
                if not plan.is_empty:
                    with phase("apply"):
                        infrastructure.require_unmoved(inputs)
                        gate.enter(environment, purpose="cure")
                        lease.require_held()
                        terraform.apply(workspace, plan)
                with phase("verify"):
                    terraform.require_nothing_to_do(workspace)
                    infrastructure.require_serving(environment)
    with phase("make it last"):
        _make_it_last(environment, revert.of)
    return plan.hash


def _require_one_way(commit: str | None, restore_state_version: str | None) -> None:
    if (commit is None) == (restore_state_version is None):
        raise PreconditionFailed(
            f"commit is {commit} and restore_state_version is {restore_state_version}, expected exactly one of them: a"
            " commit takes a change back, a state version only replaces a state that is lost or corrupt"
        )


def _find_revert(commit: str) -> git.Revert:
    change = git.describe_commit(commit)
    if not change.touches(CODE):
        raise PreconditionFailed(
            f"commit {change} changes {', '.join(change.files) or 'no file'}, expected something below {CODE}/: to take"
            " a release back, run: python -m flows.rollback_application"
        )
    revert = git.make_revert(change)
    say(f"taking back {change}, on top of {revert.head[: git.SHORT_DIGITS]}: {', '.join(change.files)}")
    say(f"to make it last: {github.describe_access()}")
    if unsaved := git.list_uncommitted(CODE):
        say(f"uncommitted changes are left alone and are not part of this: {', '.join(unsaved)}")
    return revert


def _plan(workspace: terraform.Workspace) -> Plan:
    terraform.init(workspace)
    terraform.free_state(workspace)
    plan = terraform.plan(workspace)
    infrastructure.show_plan(plan)
    return plan


def _make_it_last(environment: EnvironmentName, change: git.Commit) -> None:
    say(f"until the revert is merged, the next deploy_infrastructure from main brings {change} back to {environment}")
    say(f"the revert by hand: {'; '.join(git.commands_to_revert(change))}")
    body = f"{environment} runs without this change since a run of `{NAME}`; until this is merged, the next deployment"
    address = github.open_revert_pull_request(change.sha, f'Revert "{change.subject}"', f"{body} brings it back.")
    if address:
        say(f"merge {address}")


def _restore_state(environment: EnvironmentName, version: str, approved_plan: str | None, dry_run: bool) -> str:
    state = terraform.state_address(environment)
    with phase("plan"):
        state_versions.require_unlocked(state)
        versions = state_versions.list_versions(state)
        for line in state_versions.table(versions):
            say(line)
        if version == LIST:
            return ""
        restore = state_versions.plan_restore(versions, version)
        inputs = infrastructure.read_inputs(environment)
        say(f"plan {restore.hash}: {'done already: ' if restore.is_done else ''}{restore}")
        for line in restore.differences():
            say(line)
    if dry_run:
        return restore.hash
    if not restore.is_done:
        with phase("approve"):
            approval.require_approval(environment, restore.hash, str(restore), approved_plan)
    with (
        lock.change_lock(environment, NAME) as lease,
        terraform.workspace(environment, inputs.variables, inputs.secrets) as workspace,
    ):
        with phase("apply"):
            gate.enter(environment, purpose="cure")
            lease.require_held()
            state_versions.make_readable(state, restore)
            terraform.init(workspace)
            terraform.free_state(workspace)
            terraform.push_state(workspace, restore)
        with phase("verify"):
            say(f"the state is {state_versions.require_restored(state, restore)}, and this plan results, not applied:")
            _plan(workspace)
    return restore.hash


if __name__ == "__main__":
    run(rollback_infrastructure)
