"""AWS/EC2 CPUUtilization: the CPU seconds that an instance's processes really took, of its type's virtual CPUs."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES

NAMESPACE = "AWS/EC2"
BASIC_MONITORING_MINUTES = 5  # detailed monitoring sends every minute
SESSION, USER_TICKS, SYSTEM_TICKS = 3, 11, 12  # of /proc/PID/stat, behind the name of the command
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class CPUMetrics:
    """Sets `cpu_utilization` of each running instance that was seen twice."""

    def __init__(self) -> None:
        self._minute = 0
        self._last: dict[str, tuple[float, float]] = {}

    def publish_once_a_minute(self, instances: Iterable[tuple[Any, int | None]], minute: int) -> None:
        """`instances` with the process that leads the session of each one's container."""
        if minute == self._minute:
            return
        self._minute, taken = minute, cpu_seconds_by_session()
        before, self._last = self._last, {}
        for instance, pid in instances:
            now = (time.monotonic(), taken[pid] if pid else 0.0)
            self._last[instance.id] = now
            if instance.id in before:
                instance.cpu_utilization = _percent(instance, before[instance.id], now)
                if instance.monitoring_state == "enabled" or minute % BASIC_MONITORING_MINUTES == 0:
                    backend = instance.ec2_backend
                    cloudwatch = cloudwatch_backends[backend.account_id][backend.region_name]
                    put(cloudwatch, "InstanceId", instance.id, [instance.cpu_utilization])


def _percent(instance: Any, before: tuple[float, float], now: tuple[float, float]) -> float:
    seconds, busy = now[0] - before[0], max(now[1] - before[1], 0.0)  # a restarted container begins anew
    virtual_cpus = INSTANCE_TYPES[instance.instance_type]["VCpuInfo"]["DefaultVCpus"]
    return float(min(100.0, 100 * busy / seconds / virtual_cpus))


def put(cloudwatch: Any, dimension: str, name: str, values: list[float]) -> None:
    datum = {
        "MetricName": "CPUUtilization",
        "Values": values,
        "Unit": "Percent",
        "Timestamp": datetime.now(UTC).replace(tzinfo=None),
        "Dimensions": [{"Name": dimension, "Value": name}],
    }
    cloudwatch.put_metric_data(NAMESPACE, [datum])


def cpu_seconds_by_session() -> dict[int, float]:
    """One look at all processes: by instance it would be one each."""
    taken: dict[int, float] = defaultdict(float)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        ticks = int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])
        taken[int(fields[SESSION])] += ticks / TICKS_PER_SECOND
    return taken
