"""Group metrics: what an Auto Scaling group tells CloudWatch about itself when it was asked to, and its CPU."""

from collections import Counter
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from lab import ec2_metrics
from lab.scaling_activities import now_utc

NAMESPACE = "AWS/AutoScaling"
STATES = ("InService", "Pending", "Standby", "Terminating")
SIZES = ("GroupMinSize", "GroupMaxSize", "GroupDesiredCapacity")
NAMES = (
    *SIZES,
    *(f"Group{one}{unit}" for unit in ("Instances", "Capacity") for one in [*STATES, "Total"]),
)


def publish_once_a_minute(group: Any, minute: int, now: float) -> None:
    if minute == group.facts.metrics_minute:
        return
    group.facts.metrics_minute = minute
    backend = cloudwatch_backends[group.account_id][group.region]
    if group.metrics:
        backend.put_metric_data(NAMESPACE, [_datum(group, *one) for one in values(group).items()])
    if measured := cpu_of_the_warm(group, now):
        ec2_metrics.put(backend, "AutoScalingGroupName", group.name, measured)


def cpu_of_the_warm(group: Any, now: float) -> list[float]:
    """An instance that warms up is not counted in the group's aggregated metrics: booting is no load."""
    warm_since = now - float(group.default_instance_warmup or 0)
    warm = [
        one.instance
        for one in group.instance_states
        if one.lifecycle_state == "InService" and one.in_service_since <= warm_since
    ]
    return [one.cpu_utilization for one in warm if one.cpu_utilization is not None]


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
