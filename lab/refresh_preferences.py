"""The preferences of an instance refresh: AWS's defaults, and what AWS refuses.

Source: API reference of RefreshPreferences; user guide, "Understand the default values for an instance refresh".
"""

from collections.abc import Collection
from typing import Any

from lab.extend import AWSError

LONGEST_WAIT_SECONDS = 172_800
MOST_ALARMS = 10
RANGES = {
    "MinHealthyPercentage": (0, 100),
    "MaxHealthyPercentage": (100, 200),
    "InstanceWarmup": (0, None),
    "CheckpointDelay": (0, LONGEST_WAIT_SECONDS),
    "BakeTime": (0, LONGEST_WAIT_SECONDS),
}
CHOICES = {
    "ScaleInProtectedInstances": ("Refresh", "Ignore", "Wait"),
    "StandbyInstances": ("Terminate", "Ignore", "Wait"),
}


def complete(asked: dict[str, Any], group: Any) -> dict[str, Any]:
    """What was asked for, with AWS's defaults for the rest."""
    warmup = group.default_instance_warmup
    defaults = {
        "MinHealthyPercentage": 90,
        "InstanceWarmup": (group.health_check_grace_period or 0) if warmup is None else warmup,
        "SkipMatching": False,
        "AutoRollback": False,
        "ScaleInProtectedInstances": "Wait",
        "StandbyInstances": "Wait",
    }
    if asked.get("CheckpointPercentages"):
        defaults["CheckpointDelay"] = 3600
    given = {name: value for name, value in asked.items() if value is not None}
    return {**defaults, **(group.instance_maintenance_policy or {}), **given}


def require_valid(asked: dict[str, Any], wish: dict[str, Any], known_alarms: Collection[str]) -> None:
    for name, (low, high) in RANGES.items():
        value = asked.get(name)
        if value is not None and (value < low or (high is not None and value > high)):
            _refuse(f"{name} must be between {low} and {high}." if high else f"{name} must be at least {low}.")
    for name, choices in CHOICES.items():
        if wish[name] not in choices:
            _refuse(f"{name} must be one of {', '.join(choices)}.")
    _require_percentages(asked, wish)
    _require_checkpoints(asked)
    _require_alarms(asked.get("AlarmSpecification"), known_alarms)


def _require_percentages(asked: dict[str, Any], wish: dict[str, Any]) -> None:
    if asked.get("MaxHealthyPercentage") is not None and asked.get("MinHealthyPercentage") is None:
        _refuse("If you specify MaxHealthyPercentage, you must also specify MinHealthyPercentage.")
    if wish.get("MaxHealthyPercentage", 100) - wish["MinHealthyPercentage"] > 100:
        _refuse("The difference between MaxHealthyPercentage and MinHealthyPercentage cannot be greater than 100.")


def _require_checkpoints(asked: dict[str, Any]) -> None:
    percentages = asked.get("CheckpointPercentages")
    if not percentages:
        if asked.get("CheckpointDelay") is not None:
            _refuse("If you specify CheckpointDelay, you must also specify CheckpointPercentages.")
        return
    if not all(1 <= one <= 100 for one in percentages):
        _refuse("CheckpointPercentages must be between 1 and 100.")
    if percentages != sorted(set(percentages)):
        _refuse("CheckpointPercentages must be unique and in ascending order.")


def _require_alarms(specification: dict[str, Any] | None, known: Collection[str]) -> None:
    if specification is None:
        return
    names = specification.get("Alarms") or []
    if not 1 <= len(names) <= MOST_ALARMS:
        _refuse(f"AlarmSpecification must name between 1 and {MOST_ALARMS} alarms.")
    if missing := [name for name in names if name not in known]:
        _refuse(f"The following CloudWatch alarms do not exist: {', '.join(missing)}.")


def _refuse(words: str) -> None:
    raise AWSError("ValidationError", words)
