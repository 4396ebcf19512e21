"""How Run Command's commands and invocations are told: ListCommands, ListCommandInvocations, GetCommandInvocation."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.ssm.responses import SimpleSystemManagerResponse

from lab.extend import AWSError, operation
from lab.ssm_commands import Command, Invocation
from lab.ssm_pages import page

PLUGIN = "aws:runShellScript"
OUTPUT_CHARACTERS = 2_500
CUT = "\n---Output truncated---"
ERROR_LINE = "\n----------ERROR-------\n"


def install() -> None:
    operation(SimpleSystemManagerResponse, "ListCommands")(list_commands)
    operation(SimpleSystemManagerResponse, "ListCommandInvocations")(list_command_invocations)
    operation(SimpleSystemManagerResponse, "GetCommandInvocation")(get_command_invocation)


def commands(backend: Any) -> list[Command]:
    """Every command of the region, oldest first. Kept on moto's backend, so that a reset forgets them."""
    kept: list[Command] = backend.__dict__.setdefault("run_commands", [])
    return kept


def find(backend: Any, command_id: str) -> Command | None:
    return next((one for one in commands(backend) if one.id == command_id), None)


def list_commands(self: Any) -> dict[str, Any]:
    wanted, instance_id = self._get_param("CommandId"), self._get_param("InstanceId")
    found = [
        one
        for one in reversed(commands(self.ssm_backend))
        if wanted in (None, one.id) and (instance_id is None or one.find(instance_id))
    ]
    kept = [one for one in found if _passes(self, one, one)]
    return page(self, "Commands", [describe(one) for one in kept], 50)


def list_command_invocations(self: Any) -> dict[str, Any]:
    wanted, instance_id = self._get_param("CommandId"), self._get_param("InstanceId")
    details = str(self._get_param("Details") or "").lower() == "true"
    found = [
        describe_invocation(command, one, details)
        for command in reversed(commands(self.ssm_backend))
        for one in command.all
        if wanted in (None, command.id) and instance_id in (None, one.instance_id) and _passes(self, command, one)
    ]
    return page(self, "CommandInvocations", found, 50)


def _passes(self: Any, command: Command, subject: Command | Invocation) -> bool:
    """Every filter of the request; `subject` is what is listed."""
    tests: dict[str, Callable[[str], bool]] = {
        "Status": lambda value: value in (subject.status, subject.details),
        "DocumentName": lambda value: value == command.document,
        "InvokedAfter": lambda value: command.requested >= datetime.fromisoformat(value),
        "InvokedBefore": lambda value: command.requested <= datetime.fromisoformat(value),
        "ExecutionStage": lambda value: (value == "Executing") == command.is_open,
    }
    for one in self._get_param("Filters") or []:
        if one["key"] not in tests:
            raise AWSError("InvalidFilterKey", f"The specified filter key '{one['key']}' isn't valid.")
        if not tests[one["key"]](one["value"]):
            return False
    return True


def get_command_invocation(self: Any) -> dict[str, Any]:
    command = find(self.ssm_backend, self._get_param("CommandId"))
    found = command.find(self._get_param("InstanceId")) if command else None
    if command is None or found is None:
        raise AWSError("InvocationDoesNotExist", "")
    if self._get_param("PluginName") not in (None, PLUGIN):
        raise AWSError("InvalidPluginName", "")
    return {
        "CommandId": command.id,
        "InstanceId": found.instance_id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.version,
        "PluginName": PLUGIN,
        "ResponseCode": found.code,
        "ExecutionStartDateTime": _iso(found.started),
        "ExecutionElapsedTime": _elapsed(found),
        "ExecutionEndDateTime": _iso(found.ended if found.started else None),
        "Status": found.status,
        "StatusDetails": found.details,
        "StandardOutputContent": found.stdout,
        "StandardOutputUrl": "",
        "StandardErrorContent": found.stderr,
        "StandardErrorUrl": "",
    }


def _iso(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z" if moment else ""


def _elapsed(invocation: Invocation) -> str:
    if invocation.started is None or invocation.ended is None:
        return ""
    return f"PT{(invocation.ended - invocation.started).total_seconds():.3f}S"


def describe(command: Command) -> dict[str, Any]:
    return {
        "CommandId": command.id,
        "DocumentName": command.document,
        "DocumentVersion": command.version,
        "Comment": command.comment,
        "ExpiresAfter": command.expires,
        "Parameters": command.parameters,
        "InstanceIds": command.instance_ids,
        "Targets": command.targets,
        "RequestedDateTime": command.requested,
        "Status": command.status,
        "StatusDetails": command.details,
        "MaxConcurrency": command.max_concurrency,
        "MaxErrors": command.max_errors,
        "TargetCount": len(command.all),
        "CompletedCount": sum(not one.is_open for one in command.all),
        "ErrorCount": command.errors,
        "DeliveryTimedOutCount": command.count("DeliveryTimedOut"),
        "TimeoutSeconds": command.timeout_seconds,
    }


def describe_invocation(command: Command, one: Invocation, details: bool) -> dict[str, Any]:
    return {
        "CommandId": command.id,
        "InstanceId": one.instance_id,
        "InstanceName": one.instance_name,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.version,
        "RequestedDateTime": one.requested,
        "Status": one.status,
        "StatusDetails": one.details,
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "CommandPlugins": [_describe_plugin(one)] if details else [],
    }


def _describe_plugin(one: Invocation) -> dict[str, Any]:
    answer = {
        "Name": PLUGIN,
        "Status": one.status,
        "StatusDetails": one.details,
        "ResponseCode": one.code,
        "ResponseStartDateTime": one.started,
        "ResponseFinishDateTime": one.ended,
        "Output": _cut(one.stdout + (ERROR_LINE + one.stderr if one.stderr else "")),
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
    }
    return {name: value for name, value in answer.items() if value is not None}


def _cut(output: str) -> str:
    return output if len(output) <= OUTPUT_CHARACTERS else output[: OUTPUT_CHARACTERS - len(CUT)] + CUT
