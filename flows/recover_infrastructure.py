"""Recover the infrastructure: what is lost is made again, the database from its backup first, what is left is adopted.

When:     an environment is gone in whole or in part, or its Terraform state is. One damaged database that still runs:
          recover_database. A lost account first gets set_up_account, its certificate and its images back.
Impact:   it only makes, adopts and updates: a plan that destroys or replaces anything is refused. What still serves
          goes on serving. The database comes back as of its newest backup; what was written after it is lost, and the
          report says how much that is.
Rollback: nothing was destroyed. A database whose backup turns out bad is not adopted: delete it, and name another
          backup. The state keeps its versions.

Carries out P63, P64 (and D16). Started again, it goes on where it was; with nothing lost it says so.
"""

import time

from pydantic import SecretStr

from tasks import (
    approval,
    gate,
    health,
    infrastructure,
    inventory_storage,
    lost_database,
    lost_state,
    rds,
    state_versions,
    terraform,
    terraform_imports,
)
from tasks import change_lock as lock
from tasks import secretsmanager as secrets
from tasks.change_lock import Lease
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.finding import table
from tasks.lost_database import Backup
from tasks.lost_environment import Recovery, look
from tasks.lost_state import Record, Way
from tasks.parameters import Identifier, ImageReference, PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say
from tasks.terraform import Workspace
from tasks.terraform_plan import require_additions_only
from tasks.verdict import require_good

NAME = "recover-infrastructure"


@procedure
def recover_infrastructure(
    environment: EnvironmentName,
    state: Way = "keep",
    backup: Identifier | None = None,
    image: ImageReference | None = None,
    approved_plan: PlanHash = None,
    dry_run: bool = False,
) -> str:
    """Make whole what was lost of an environment, and prove that it serves and that nothing is left to do.

    Args:
        environment: Which environment to recover.
        state: What to do about a Terraform state that can't be read; a sound one is always kept. keep refuses, backup
            brings its newest good version back, inventory makes a new one of what exists.
        backup: What a lost database comes back from: a snapshot's identifier, or the resource id (db-...) of retained
            automated backups; empty takes what holds most.
        image: Digest of the release to start; empty takes what runs, else the one that was proven last.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    began = time.monotonic()
    with phase("check"):
        say(f"terraform {terraform.require_terraform()}")
        lock.require_free(environment)
    with phase("plan"):
        recovery = look(environment, state, backup, image)
        for line in (*recovery.lines(), *recovery.plan.table().splitlines()):
            say(line)
    if dry_run:
        return recovery.hash
    if recovery.is_done:
        say("nothing is lost")
    else:
        with phase("approve"):
            approval.require_approval(environment, recovery.hash, "\n".join(recovery.lines()), approved_plan, people=2)
        _recover(recovery)
    with phase("verify"):
        infrastructure.require_serving(environment)
        for line in table(health.wait_until_well(describe_environment(environment))).splitlines():
            say(line)
        say(f"RTO: everything serves and is verified {time.monotonic() - began:.0f} s after this run began")
    return recovery.hash


def _recover(recovery: Recovery) -> None:
    environment = recovery.inputs.environment
    with lock.change_lock(environment, NAME) as lease:
        with phase("gate"):
            gate.enter(environment, purpose="cure")
        with phase("revive"):
            for arn in recovery.dying:
                inventory_storage.revive(arn)
            found = secrets.read_database_password(environment)
        password = found or secrets.make_password()
        with terraform.workspace(environment, recovery.inputs.variables, {"db_password": password}) as workspace:
            with phase("state"):
                lease.require_held()
                _put_state_right(workspace, recovery.record)
            with phase("database"):
                if recovery.backup:
                    _restore(workspace, recovery, recovery.backup, lease)
                    _accept(recovery, recovery.backup, password)
                elif not found:
                    rds.set_master_password(environment, password)
            with phase("apply"):
                plan, _ = terraform_imports.plan_with_imports(workspace, recovery.ids)
                require_additions_only(plan)
                infrastructure.require_unmoved(recovery.inputs)
                lease.require_held()
                terraform.apply(workspace, plan)
            with phase("nothing left"):
                terraform.require_nothing_to_do(workspace)


def _put_state_right(workspace: Workspace, record: Record) -> None:
    if record.lost:
        lost_state.set_aside(workspace.state, record.lost)
    if record.restore:
        state_versions.make_readable(workspace.state, record.restore)
    terraform.init(workspace)
    terraform.free_state(workspace)
    if record.restore:
        terraform.push_state(workspace, record.restore)
        say(f"the state is {state_versions.require_restored(workspace.state, record.restore)}")


def _restore(workspace: Workspace, recovery: Recovery, backup: Backup, lease: Lease) -> None:
    """What the database stands on, and the instance with the settings that the plan then has for it."""
    others = {address: one for address, one in recovery.ids.items() if address != lost_database.ADDRESS}
    terraform_imports.write_imports(workspace, others)
    foundation = terraform.plan(workspace, *lost_database.FOUNDATION)
    require_additions_only(foundation)
    if not foundation.is_empty:
        lease.require_held()
        terraform.apply(workspace, foundation)
    if rds.find(recovery.db_identifier) is None:
        wanted = terraform.plan(workspace, lost_database.ADDRESS).creation(lost_database.ADDRESS)
        lease.require_held()
        lost_database.begin_restore(backup, wanted.values)
    lost_database.wait_until_restored(recovery.db_identifier)


def _accept(recovery: Recovery, backup: Backup, password: SecretStr) -> None:
    """Only what was proven becomes the database, and until it is, nobody else knows the password that it has."""
    own = secrets.make_password()
    rds.set_master_password(recovery.inputs.environment, own)
    db = rds.settle(recovery.db_identifier)
    verdicts = lost_database.judge(db, own, backup)
    for verdict in verdicts:
        say(f"{verdict}: {'; '.join(verdict.facts)}")
    require_good(verdicts)
    rds.set_master_password(recovery.inputs.environment, password)
    secrets.correct_address(recovery.inputs.environment, db.address or "", db.settings.port)
    lost_database.accept(db, backup)


if __name__ == "__main__":
    run(recover_infrastructure)
