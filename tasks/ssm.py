"""AWS Systems Manager: run a command on instances, told per instance; and what is missing on them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks import aws
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.report import say
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient
    from types_boto3_ssm.type_defs import CommandInvocationTypeDef

DOCUMENT = "AWS-RunShellScript"
ENDED = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})
DELIVERY_SECONDS = 60
ONLINE_SECONDS = 600
MOST_IDS = 50  # DescribeInstancePatchStates and SendCommand take so many at once
MOST_COMMANDS = 50  # how many of our own newest commands are looked through for one that a killed run sent


@dataclass(frozen=True)
class Command:
    id: str
    status: str
    target_count: int

    @property
    def runs(self) -> bool:
        return self.status not in ENDED


@dataclass(frozen=True)
class Result:
    """What one instance answered. `output` is what SSM keeps of it: its first 2,500 characters."""

    instance_id: str
    status: str
    exit_code: int
    output: str

    @property
    def succeeded(self) -> bool:
        return self.status == "Success"

    def __str__(self) -> str:
        return f"{self.instance_id} {self.status}, exit code {self.exit_code}"


@dataclass(frozen=True)
class Patches:
    """What an instance's last patch scan found missing; an instance that was never scanned has none of these."""

    instance_id: str
    missing: int
    security: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.missing} patches missing" + (f" ({', '.join(self.security)})" if self.security else "")


@action
def send_command(
    instance_ids: tuple[str, ...],
    commands: tuple[str, ...],
    name: str,
    max_concurrency: str = "50",
    max_errors: str = "0",
    timeout_seconds: int = 600,
) -> Command:
    """Run shell commands on these instances; the command that a killed run sent under the same `name` is attached to.

    Args:
        name: identifies this command: SendCommand has no client token, so it travels as the command's comment.
        max_concurrency: how many at the same time, a number or a percentage, as SSM takes it.
        max_errors: after so many failures no further instance is begun.
        timeout_seconds: how long it may run on each instance.
    """
    if sent := _find_command(name):
        return sent
    ssm = _ssm()
    try:
        answer = ssm.send_command(
            DocumentName=DOCUMENT,
            Targets=[{"Key": "InstanceIds", "Values": list(instance_ids)}],
            Comment=name,
            Parameters={"commands": list(commands), "executionTimeout": [str(timeout_seconds)]},
            TimeoutSeconds=DELIVERY_SECONDS,
            MaxConcurrency=max_concurrency,
            MaxErrors=max_errors,
        )
    except ssm.exceptions.InvalidInstanceId as error:
        raise PreconditionFailed(
            f"SSM does not reach {', '.join(instance_ids)}, expected a running SSM agent on each. Nothing was run."
            " Look at the instance's role and its agent: aws ssm describe-instance-information"
        ) from error
    return Command(answer["Command"]["CommandId"], answer["Command"]["Status"], answer["Command"]["TargetCount"])


@probe
def wait_until_command_ended(command: Command, timeout_seconds: int = 900) -> tuple[Result, ...]:
    """Every instance's result, also of those on which it failed or was never begun."""
    wait_until(
        f"SSM command {command.id}",
        lambda: _describe_command(command.id),
        lambda seen: not seen.runs,
        timeout_seconds=timeout_seconds,
        expected="its end",
    )
    pages = _ssm().get_paginator("list_command_invocations").paginate(CommandId=command.id, Details=True)
    return tuple(_result(found) for page in pages for found in page["CommandInvocations"])


@probe
def read_output(command: Command, instance_id: str) -> str:
    """All that SSM keeps of what a command printed on one instance: its first 24,000 characters."""
    found = _ssm().get_command_invocation(CommandId=command.id, InstanceId=instance_id)
    return found["StandardOutputContent"]


def require_all_succeeded(results: tuple[Result, ...], instance_ids: Iterable[str]) -> None:
    """Every one of these instances ran the command and succeeded: partial success is no success."""
    failed = [str(result) for result in results if not result.succeeded]
    silent = sorted(set(instance_ids) - {result.instance_id for result in results})
    if failed or silent:
        raise VerificationFailed(
            f"the command succeeded on {sum(r.succeeded for r in results)} instances, expected all."
            f" Failed: {'; '.join(failed) or 'none'}. No result: {', '.join(silent) or 'none'}."
        )


def find_online(instance_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Those of these instances whose SSM agent answers."""
    found = set()
    for start in range(0, len(instance_ids), MOST_IDS):
        some = list(instance_ids[start : start + MOST_IDS])
        pages = _ssm().get_paginator("describe_instance_information")
        for page in pages.paginate(Filters=[{"Key": "InstanceIds", "Values": some}]):
            found |= {one["InstanceId"] for one in page["InstanceInformationList"] if one["PingStatus"] == "Online"}
    return tuple(one for one in instance_ids if one in found)


def wait_until_online(instance_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The agent of a new instance reports within some minutes.

    Raises:
        WaitTimedOut: one does not.
    """
    return wait_until(
        f"the SSM agents of {', '.join(instance_ids)}",
        lambda: find_online(instance_ids),
        lambda online: online == instance_ids,
        timeout_seconds=ONLINE_SECONDS,
        expected="all of them online",
    )


@probe
def require_online(instance_ids: tuple[str, ...]) -> None:
    """
    Raises:
        PreconditionFailed: SSM does not reach one of these instances, or there is none. Nothing was run.
    """
    silent = sorted(set(instance_ids) - set(find_online(instance_ids)))
    if silent or not instance_ids:
        raise PreconditionFailed(
            f"SSM reaches {len(instance_ids) - len(silent)} of {len(instance_ids)} instances in service, expected all"
            f" of at least one; not {', '.join(silent) or 'any'}. Nothing was run. A new instance needs a minute; else"
            " look at its role and agent: aws ssm describe-instance-information"
        )


@probe
def describe_patches(instance_ids: tuple[str, ...]) -> dict[str, Patches]:
    """What patch scans found missing, for those instances that were scanned."""
    ssm = _ssm()
    found = {}
    for start in range(0, len(instance_ids), MOST_IDS):
        some = list(instance_ids[start : start + MOST_IDS])
        for page in ssm.get_paginator("describe_instance_patch_states").paginate(InstanceIds=some):
            for state in page["InstancePatchStates"]:
                one, missing = state["InstanceId"], state.get("MissingCount", 0)
                found[one] = Patches(one, missing, _missing_cves(one) if missing else ())
    return found


def say_results(results: tuple[Result, ...]) -> None:
    """One row per instance, for the report."""
    say("| instance | status | exit code | output |")
    say("|---|---|---|---|")
    for result in sorted(results, key=lambda one: one.instance_id):
        shown = result.output.strip().replace("|", "\\|").replace("\n", "<br>")
        say(f"| {result.instance_id} | {result.status} | {result.exit_code} | {shown} |")


def _ssm() -> "SSMClient":
    client: SSMClient = aws.client("ssm")
    return client


def _find_command(name: str) -> Command | None:
    found = _ssm().list_commands(MaxResults=MOST_COMMANDS)["Commands"]
    return next((_describe_command(one["CommandId"]) for one in found if one.get("Comment") == name), None)


def _describe_command(command_id: str) -> Command:
    found = _ssm().list_commands(CommandId=command_id)["Commands"]
    if not found:
        raise VerificationFailed(f"SSM no longer knows command {command_id}")
    return Command(command_id, found[0]["Status"], found[0].get("TargetCount", 0))


def _result(found: "CommandInvocationTypeDef") -> Result:
    plugin = (found.get("CommandPlugins") or [{}])[0]
    return Result(
        found["InstanceId"],
        found["Status"],
        plugin.get("ResponseCode", -1),
        plugin.get("Output", "") or found.get("StatusDetails", ""),
    )


def _missing_cves(instance_id: str) -> tuple[str, ...]:
    pages = (
        _ssm()
        .get_paginator("describe_instance_patches")
        .paginate(InstanceId=instance_id, Filters=[{"Key": "State", "Values": ["Missing"]}])
    )
    cves = {cve for page in pages for patch in page["Patches"] for cve in patch.get("CVEIds", "").split(",") if cve}
    return tuple(sorted(cves))
