"""Rules for what replaces instances and releases: refreshes, images, scaling."""

import json
import re
from collections.abc import Iterator
from typing import Any

from docs.runbook.markdown import Command
from docs.runbook.rules import Runbook, Seen, rule

START, CANCEL = "autoscaling start-instance-refresh", "autoscaling cancel-instance-refresh"


@rule("D01", "end the list with 100 and assert that every instance has the new image")
def checkpoints_end_before_all_instances_are_replaced(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls(START):
        percentages = _preferences(command).get("CheckpointPercentages")
        if percentages and percentages[-1] != 100:
            yield command.line, f"CheckpointPercentages end at {percentages[-1]}: the rest keeps the old image"


@rule("D02", "give DesiredConfiguration with a pinned template version, and AutoRollback in the preferences")
def a_refresh_cannot_be_rolled_back(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls(START):
        if "desired-configuration" not in command.options:
            yield command.line, "an instance refresh without DesiredConfiguration has nothing to roll back to"


@rule("D03", "rollback-instance-refresh; when that is refused, deploy the version before by its digest")
def a_cancelled_refresh_rolls_nothing_back(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls(CANCEL):
        if command.line.is_under("rollback") or command.line.is_under("rolling back"):
            yield command.line, "cancel-instance-refresh leaves the replaced instances as they are"


@rule("D11", "leave --honor-cooldown out")
def an_emergency_waits_for_a_cooldown(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("autoscaling set-desired-capacity"):
        if "honor-cooldown" in command.options and command.line.is_under("emergency"):
            yield command.line, "--honor-cooldown delays the capacity that the emergency needs"


@rule("D13", "push and deploy by digest, through one variable and one mechanism")
def an_image_has_no_identity(runbook: Runbook) -> Iterator[Seen]:
    for line in runbook.matching("docker push", ":latest"):
        yield line, "the tag latest moves: nobody can say what runs, or go back to it"
    for line in runbook.matching("IMAGE_TAG=", "<PREVIOUS"):
        yield line, "a rollback needs an edit of user data and an apply"


@rule("D19", "give MaxHealthyPercentage, so that a new instance serves before an old one goes")
def a_small_group_is_replaced_all_at_once(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls(START):
        preferences = _preferences(command)
        if "MinHealthyPercentage" in preferences and "MaxHealthyPercentage" not in preferences:
            yield command.line, "without MaxHealthyPercentage a group of one is terminated and launched together"


@rule("D18", "liveness (/health) without the database, readiness (/ready) with it")
def liveness_depends_on_the_database(runbook: Runbook) -> Iterator[Seen]:
    checked = any(True for _ in runbook.matching("health check path", "/health"))
    for line in runbook.matching('"database"'):
        if checked and line.block and any("/health" in one.text for one in runbook.before(line)):
            yield line, "a database failover makes /health fail, and the group replaces instances that are well"


def _preferences(command: Command) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(re.sub(r"\s+", " ", command.options.get("preferences", "{}")))
    except ValueError:
        return {}
    return found
