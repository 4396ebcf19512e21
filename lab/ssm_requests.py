"""Run Command requests: what SendCommand accepts and whom it means, and CancelCommand."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.ssm.responses import SimpleSystemManagerResponse

from lab.clock import Clock
from lab.extend import AWSError, operation
from lab.ssm_agents import managed, tags
from lab.ssm_answers import commands, describe, find
from lab.ssm_commands import Command

DOCUMENT = "AWS-RunShellScript"
PARAMETERS = ("commands", "workingDirectory", "executionTimeout")
DEFAULT_SECONDS = 3600
SHORTEST_DELIVERY_SECONDS = 30
LONGEST_EXECUTION_SECONDS = 172_800
MOST_INSTANCES = 50
CONCURRENCY = re.compile(r"[1-9][0-9]*|[1-9][0-9]?%|100%")
ERRORS = re.compile(r"0|[1-9][0-9]*|[0-9]%|[1-9][0-9]%|100%")


def install(clock: Clock) -> None:
    def send(self: Any) -> dict[str, Any]:
        return send_command(self, clock)

    operation(SimpleSystemManagerResponse, "SendCommand")(send)
    operation(SimpleSystemManagerResponse, "CancelCommand")(cancel_command)


def send_command(self: Any, clock: Clock) -> dict[str, Any]:
    parameters = self._get_param("Parameters") or {}
    timeout = self._get_int_param("TimeoutSeconds", DEFAULT_SECONDS)
    execution = _require_parameters(parameters)
    command = Command(
        document=_require_document(self._get_param("DocumentName")),
        version=self._get_param("DocumentVersion") or "$DEFAULT",
        comment=self._get_param("Comment") or "",
        parameters=parameters,
        instance_ids=self._get_param("InstanceIds") or [],
        targets=self._get_param("Targets") or [],
        max_concurrency=_require("MaxConcurrency", self._get_param("MaxConcurrency") or "50", CONCURRENCY),
        max_errors=_require("MaxErrors", self._get_param("MaxErrors") or "0", ERRORS),
        timeout_seconds=timeout,
        execution_timeout=execution,
        expires=datetime.now(UTC) + timedelta(seconds=clock.seconds(timeout + execution)),
    )
    if timeout < SHORTEST_DELIVERY_SECONDS:
        words = f"TimeoutSeconds is {timeout}, expected {SHORTEST_DELIVERY_SECONDS} or more"
        raise AWSError("ValidationException", words)
    _require_instances(self.ssm_backend, command)
    commands(self.ssm_backend).append(command)
    return {"Command": {**describe(command), "TargetCount": len(command.instance_ids)}}


def _require_document(name: str) -> str:
    if name.rpartition("/")[2] != DOCUMENT:
        raise AWSError("InvalidDocument", f"Document {name} does not exist in this lab, which has {DOCUMENT} alone.")
    return DOCUMENT


def _require_parameters(parameters: dict[str, list[str]]) -> int:
    """Returns the execution timeout."""
    if not parameters.get("commands"):
        raise AWSError("InvalidParameters", "Parameter commands is required.")
    if unknown := sorted(set(parameters) - set(PARAMETERS)):
        raise AWSError("InvalidParameters", f"Parameters {unknown} are not defined in document {DOCUMENT}.")
    (timeout,) = parameters.get("executionTimeout") or [str(DEFAULT_SECONDS)]
    if not timeout.isdigit() or not 1 <= int(timeout) <= LONGEST_EXECUTION_SECONDS:
        words = f"executionTimeout is '{timeout}', expected 1 to {LONGEST_EXECUTION_SECONDS} seconds."
        raise AWSError("InvalidParameters", words)
    return int(timeout)


def _require(name: str, value: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(value):
        raise AWSError("ValidationException", f"{name} is '{value}', expected a number or a percentage.")
    return value


def _require_instances(backend: Any, command: Command) -> None:
    """Nodes that are named must be managed; tags may match none. A stopped instance is still a managed node."""
    asked = command.instance_ids
    if bool(asked) == bool(command.targets):
        raise AWSError("ValidationException", "Exactly one of InstanceIds and Targets is needed.")
    if len(asked) > MOST_INSTANCES:
        raise AWSError("ValidationException", f"InstanceIds has {len(asked)} ids, expected {MOST_INSTANCES} or fewer")
    if len(set(asked)) < len(asked):
        raise AWSError("DuplicateInstanceId", "An instance ID was specified more than once.")
    named = [*asked, *(i for one in command.targets if one["Key"] == "InstanceIds" for i in one["Values"])]
    known = managed(backend)
    if unknown := [one for one in named if one not in known]:
        words = f"Instances [[{', '.join(unknown)}]] not in a valid state for account {backend.account_id}"
        raise AWSError("InvalidInstanceId", words)


def find_targets(backend: Any, command: Command) -> list[Any]:
    """The managed nodes that every one of the targets means."""
    known = managed(backend)
    if command.instance_ids:
        return [known[one] for one in command.instance_ids if one in known]
    return [one for one in known.values() if all(_is_meant(one, target) for target in command.targets)]


def _is_meant(instance: Any, target: dict[str, Any]) -> bool:
    key, values = target["Key"], target["Values"]
    if key == "InstanceIds":
        return instance.id in values
    if key == "tag-key":
        return any(one in tags(instance) for one in values)
    return key.startswith("tag:") and tags(instance).get(key.removeprefix("tag:")) in values


def cancel_command(self: Any) -> dict[str, Any]:
    command = find(self.ssm_backend, self._get_param("CommandId"))
    if command is None:
        raise AWSError("InvalidCommandId", "")
    wanted = self._get_param("InstanceIds") or []
    command.cancelled = command.cancelled or not wanted
    for one in command.all:
        if one.is_open and (not wanted or one.instance_id in wanted):
            if one.details == "InProgress":
                one.details = "Cancelling"
            elif one.details != "Cancelling":
                one.end("Cancelled")
    return {}
