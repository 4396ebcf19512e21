"""Group metrics: what an Auto Scaling group tells CloudWatch about itself, when it was asked to."""

from collections import Counter
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from lab.scaling_activities import now_utc

NAMESPACE = "AWS/AutoScaling"
STATES = ("InService", "Pending", "Standby", "Terminating")
SIZES = ("GroupMinSize", "GroupMaxSize", "GroupDesiredCapacity")
NAMES = (
    *SIZES,
    *(f"Group{one}{unit}" for unit in ("Instances", "Capacity") for one in [*STATES, "Total"]),
)


def publish_once_a_minute(group: Any, minute: int) -> None:
    if group.metrics and minute != group.facts.metrics_minute:
        group.facts.metrics_minute = minute
        backend = cloudwatch_backends[group.account_id][group.region]
        backend.put_metric_data(NAMESPACE, [_datum(group, *one) for one in values(group).items()])


def values(group: Any) -> dict[str, int]:
    """Those of the metrics that are enabled."""
    states = Counter(one.lifecycle_state.removeprefix("Entering") for one in group.instance_states)
    found = {
        "GroupMinSize": group.min_size,
        "GroupMaxSize": group.max_size,
        "GroupDesiredCapacity": group.desired_capacity,
    }
    for unit in ("Instances", "Capacity"):
        found |= {f"Group{one}{unit}": states[one] for one in STATES}
        found[f"GroupTotal{unit}"] = states.total()
    return {name: value for name, value in found.items() if name in group.metrics}


def _datum(group: Any, name: str, value: int) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Value": float(value),
        "Unit": "None",
        "Timestamp": now_utc().replace(tzinfo=None),
        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group.name}],
    }
