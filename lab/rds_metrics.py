"""The AWS/RDS metrics of a running DB instance, measured on its real processes."""

import datetime
import time
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg2
from moto.cloudwatch.models import cloudwatch_backends

from lab.lab import ACCOUNT
from lab.rds_catalog import GIB, memory_bytes, virtual_cpus
from lab.rds_instances import Instance

NAMESPACE = "AWS/RDS"
# How busy the server is, its size, and how long its reads and writes took (milliseconds and their number).
QUESTION = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> 'rdsadmin'),
       sum(blk_read_time), sum(blks_read), sum(blk_write_time), sum(pg_database_size(datname))
FROM pg_stat_database WHERE datname IS NOT NULL
"""


@dataclass(frozen=True)
class Sample:
    """What only a second look turns into a rate."""

    at: float
    cpu_seconds: float
    read_milliseconds: float
    reads: float
    write_milliseconds: float


class Metrics:
    def __init__(self) -> None:
        self._last: dict[str, Sample] = {}

    def collect(self, instances: list[Instance]) -> None:
        """Without the lab's lock: it asks each server a question."""
        for instance in instances:
            try:
                self._publish(instance, self._measure(instance))
            except (psycopg2.Error, psutil.Error):
                self._last.pop(instance.db.dbi_resource_id, None)  # it is just ending: no datapoint, as on AWS

    def _measure(self, instance: Instance) -> dict[str, tuple[float, str]]:
        connections, read_time, reads, write_time, stored = (
            float(each) for each in instance.cluster.query(QUESTION)[0]
        )
        processes = _processes(instance)
        cpu = sum(sum(process.cpu_times()[:2]) for process in processes)
        private = sum(_private_bytes(process) for process in processes)
        now = Sample(time.monotonic(), cpu, read_time, reads, write_time)
        before = self._last.get(instance.db.dbi_resource_id, now)
        self._last[instance.db.dbi_resource_id] = now
        seconds = now.at - before.at
        busy = max(now.cpu_seconds - before.cpu_seconds, 0.0)
        vcpus = virtual_cpus(instance.db.db_instance_class)
        taken = now.reads - before.reads
        read_seconds = (now.read_milliseconds - before.read_milliseconds) / 1000
        return {
            "DatabaseConnections": (connections, "Count"),
            "CPUUtilization": (min(100.0, 100 * busy / seconds / vcpus) if seconds else 0.0, "Percent"),
            "FreeStorageSpace": (max(instance.db.allocated_storage * GIB - stored, 0.0), "Bytes"),
            "FreeableMemory": (max(memory_bytes(instance.db.db_instance_class) - private, 0.0), "Bytes"),
            "ReadLatency": (max(read_seconds / taken, 0.0) if taken > 0 else 0.0, "Seconds"),
            "WriteLatency": (0.0, "Seconds"),
        }

    def _publish(self, instance: Instance, values: dict[str, tuple[float, str]]) -> None:
        with instance.model() as db:
            dimension = {"Name": "DBInstanceIdentifier", "Value": db.db_instance_identifier}
            now = datetime.datetime.now(datetime.UTC)
            data = [
                {"MetricName": name, "Value": value, "Unit": unit, "Dimensions": [dimension], "Timestamp": now}
                for name, (value, unit) in values.items()
            ]
            cloudwatch_backends[ACCOUNT][db.region].put_metric_data(NAMESPACE, data)


def _processes(instance: Instance) -> list[Any]:
    if instance.cluster.process is None:
        return []
    server = psutil.Process(instance.cluster.process.pid)
    return [server, *server.children(recursive=True)]


def _private_bytes(process: Any) -> int:
    memory = process.memory_info()
    return max(int(memory.rss - memory.shared), 0)
