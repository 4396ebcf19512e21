"""Terraform: plan as data, apply exactly that plan, and prove that nothing is left to do."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import hcl2
from prefect import runtime
from pydantic import SecretStr

from tasks import aws
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.report import say
from tasks.state_versions import Restore, list_versions, plan_restore, read_content
from tasks.terraform_drift import Drift, read_drift
from tasks.terraform_lock import StateAddress, wait_for_orphan
from tasks.terraform_plan import Plan, read_plan
from tasks.terraform_process import Event, Outcome, TerraformProcess

SOURCE = Path(__file__).parents[1] / "terraform"
OLDEST_VERSION = (1, 11, 0)  # write-only attributes; the S3 lock file came with 1.10
PLAN_FILE = "approved.tfplan"
RESTORED_FILE = "restored.tfstate"
VARIABLES_FILE = "run.auto.tfvars.json"
LOCK_TIMEOUT = "-lock-timeout=20s"
SLOW_SECONDS = 5  # a resource that took less is not worth a line


@dataclass(frozen=True)
class Workspace:
    """A private copy of the Terraform code in which one run works on one environment's state."""

    environment: str
    folder: Path
    state: StateAddress
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)

    def run(self, command: str, *arguments: str, **how: Any) -> Outcome:
        environment = {f"TF_VAR_{name}": secret.get_secret_value() for name, secret in self.secrets.items()}
        return TerraformProcess(self.folder, environment).run(command, *arguments, **how)

    def require(self, *words: str) -> str:
        """Run `terraform WORDS`; what it printed.

        Raises:
            PreconditionFailed: it failed.
        """
        outcome = self.run(*words)
        if outcome.code:
            command = " ".join(takewhile(lambda word: not word.startswith("-"), words))
            raise PreconditionFailed(f"terraform {command} failed: {outcome.errors}")
        return outcome.text


@contextmanager
def workspace(
    environment: str,
    variables: Mapping[str, Any],
    secrets: Mapping[str, SecretStr] | None = None,
    source: Path = SOURCE,
) -> Iterator[Workspace]:
    """A folder for this run alone, removed at its end; the same run started again replaces what a kill left of it.

    Args:
        variables: Terraform variables of this run, on top of the environment's terraform.tfvars.
        secrets: ephemeral variables; they are in no file, plan or state.
        source: the Terraform code, when it is not what is checked out.
    """
    root = Path(tempfile.gettempdir()) / f"runbook-{environment}-{runtime.flow_run.id or 'no-run'}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o700)
    try:
        copy = shutil.copytree(source, root / "terraform", ignore=shutil.ignore_patterns(".terraform*"))
        folder = copy / "environments" / environment
        (folder / VARIABLES_FILE).write_text(json.dumps(dict(variables)))
        yield Workspace(environment, folder, state_address(environment), dict(secrets or {}))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def state_bucket() -> str:
    """The bucket that holds every environment's state, named as the runbook's set-up script names it."""
    account = aws.client("sts").get_caller_identity()["Account"]
    return f"terraform-state-{PROJECT}-{account}"


def state_address(environment: str) -> StateAddress:
    return StateAddress(state_bucket(), f"{environment}/terraform.tfstate")


def read_settings(environment: str, source: Path = SOURCE) -> dict[str, Any]:
    """What terraform.tfvars says about an environment: the one place for its sizes and names."""
    path = source / "environments" / environment / "terraform.tfvars"
    settings: dict[str, Any] = hcl2.loads(path.read_text()) if path.exists() else {}
    return {name: _unquoted(value) for name, value in settings.items() if not name.startswith("__")}


@probe
def require_terraform() -> str:
    """The version of the Terraform on the PATH."""
    if shutil.which("terraform") is None:
        raise PreconditionFailed(
            f"no 'terraform' on the PATH, expected version {_dotted(OLDEST_VERSION)} or newer."
            " Install it: https://developer.hashicorp.com/terraform/install"
        )
    with tempfile.TemporaryDirectory() as folder:
        version: str = json.loads(TerraformProcess(Path(folder)).run("version", "-json").text)["terraform_version"]
    if tuple(map(int, version.split("-", maxsplit=1)[0].split("."))) < OLDEST_VERSION:
        raise PreconditionFailed(
            f"terraform on the PATH is {version}, expected {_dotted(OLDEST_VERSION)} or newer: install a newer one"
        )
    return version


@action
def free_state(workspace: Workspace) -> None:
    """Wait for what a killed run of ours left behind, and take the lock only of a process that is proven dead."""
    dead = wait_for_orphan(workspace.state)
    if dead:
        say(f"released the state lock of {dead}: its process no longer exists")
        workspace.require("force-unlock", "-force", dead.id)


@action
def init(workspace: Workspace) -> None:
    backend = f"-backend-config=bucket={workspace.state.bucket}"
    outcome = workspace.run("init", "-input=false", "-no-color", "-reconfigure", backend)
    if outcome.code:
        raise PreconditionFailed(
            f"terraform init failed for {workspace.environment}: {' '.join(outcome.text.split())[-900:]}."
            " Without internet access set TERRAFORM_PROVIDER_MIRROR to a filesystem mirror of the provider;"
            " without a state bucket run: python -m flows.set_up_account; when the state itself cannot be read:"
            f" python -m flows.rollback_infrastructure --environment {workspace.environment}"
            " --restore-state-version list"
        )


@probe
def plan(workspace: Workspace, *targets: str) -> Plan:
    """What would change now, saved so that exactly this can be applied.

    Args:
        targets: addresses to which it is limited, with what they stand on; all of it without.
    """
    return read_plan(_plan(workspace, targets))


@probe
def plan_destruction(workspace: Workspace, *modules: str) -> Plan:
    """These modules would be gone, and what stands on them; saved so that exactly this can be applied."""
    return read_plan(_plan(workspace, modules, "-destroy"))


@probe
def find_drift(workspace: Workspace) -> tuple[Drift, ...]:
    """Where the cloud, the state and the code disagree."""
    return read_drift(_plan(workspace))


@action
def apply(workspace: Workspace, plan: Plan) -> None:
    """Apply the saved plan, and say what happens while it happens.

    Raises:
        VerificationFailed: a part may be applied. Started again, the procedure plans and applies the rest.
    """
    pid = 0

    def remember_process(started: int) -> None:
        nonlocal pid
        pid = started
        workspace.state.record_process(pid)

    def follow(event: Event) -> None:
        if event.get("type") == "apply_start" and not followed:
            lock = workspace.state.read_lock()
            workspace.state.record_process(pid, lock.id if lock else None)
            followed.append(pid)
        if _is_progress(event):
            say(event["@message"], note=False)

    followed: list[int] = []
    outcome = workspace.run(
        "apply", "-json", "-input=false", LOCK_TIMEOUT, PLAN_FILE, on_event=follow, on_start=remember_process
    )
    if outcome.code:
        raise VerificationFailed(
            f"terraform apply of plan {plan.hash} failed for {workspace.environment}: {outcome.errors}."
            " What it did until then is in the state; mend the cause and start this again."
        )


@action
def push_state(workspace: Workspace, restore: Restore) -> None:
    """Let Terraform itself put an older record in place: under its lock, and refused for another lineage."""
    if plan_restore(list_versions.fn(workspace.state), restore.version.id).is_done:
        return
    (workspace.folder / RESTORED_FILE).write_text(read_content(workspace.state, restore, restore.serial))
    workspace.require("state", "push", LOCK_TIMEOUT, RESTORED_FILE)


@probe
def require_nothing_to_do(workspace: Workspace) -> None:
    """Code, state and cloud agree: a fresh plan is empty."""
    left = plan.fn(workspace)
    if not left.is_empty:
        raise VerificationFailed(
            f"after the apply the plan for {workspace.environment} is not empty, expected nothing to change:"
            f" {'; '.join(map(str, left.changes))}"
        )


@probe
def read_terraform_outputs(workspace: Workspace) -> dict[str, Any]:
    """Terraform's outputs; what it marks sensitive is named, not shown."""
    found = json.loads(workspace.require("output", "-json") or "{}")
    return {name: "(sensitive)" if o.get("sensitive") else o["value"] for name, o in found.items()}


@probe
def list_resources(workspace: Workspace) -> tuple[str, ...]:
    return tuple(workspace.require("state", "list").split())


def _plan(workspace: Workspace, targets: Sequence[str] = (), *options: str) -> dict[str, Any]:
    limits = [f"-target={address}" for address in targets]
    arguments = ("-json", "-input=false", "-detailed-exitcode", LOCK_TIMEOUT, f"-out={PLAN_FILE}", *limits, *options)
    outcome = workspace.run("plan", *arguments)
    if outcome.code == 1:
        raise PreconditionFailed(f"terraform plan failed for {workspace.environment}: {outcome.errors}")
    document: dict[str, Any] = json.loads(workspace.run("show", "-json", PLAN_FILE).text)
    return document


def _is_progress(event: Event) -> bool:
    kind, seconds = event.get("type"), event.get("hook", {}).get("elapsed_seconds", 0)
    return kind in ("apply_progress", "apply_errored") or (kind == "apply_complete" and seconds >= SLOW_SECONDS)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _unquoted(value: Any) -> Any:
    if isinstance(value, list):
        return [_unquoted(item) for item in value]
    return re.sub(r'^"(.*)"$', r"\1", value) if isinstance(value, str) else value
