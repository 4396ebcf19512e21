"""Exports of snapshots to S3: each starts a server from the snapshot's data and writes every table as Parquet."""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals
from typing import Any

import psycopg2
from moto.rds.responses import RDSResponse

from lab.base_backup import recovery_to_backup
from lab.extend import AWSError, operation
from lab.lab import Lab
from lab.postgres import Cluster, ClusterFailedError, choose_port
from lab.rds_export_files import GB, Destination, ExportError, export_info, tables_info, warning, write_table
from lab.rds_export_requests import ENDED, describe, fits, require_startable
from lab.rds_export_tables import Table, find_tables
from lab.rds_instances import utc_now
from lab.rds_pages import page

log = logging.getLogger("lab.rds")
# Typical times of AWS, in AWS seconds: RDS restores the snapshot before it reads it.
STARTING, IN_PROGRESS = 300, 60
RECOVERY_SECONDS = 900.0  # of this machine
UNKNOWN = "An unknown internal error occurred."
REQUIRED = ("ExportTaskIdentifier", "SourceArn", "S3BucketName", "IamRoleArn", "KmsKeyId")


class CanceledError(RuntimeError):
    """The export was cancelled, or the lab is reset."""


class Task:
    """One export task. Its status is read and written with the lab's lock held."""

    def __init__(self, asked: dict[str, Any], snapshot: Any) -> None:
        self.asked, self.snapshot = asked, snapshot
        self.status = "STARTING"
        self.percent = 0
        self.extracted_gb = 0.0
        self.started = utc_now()
        self.ended: Any = None
        self.failure: str | None = None
        self.warning: str | None = None
        self.canceled = threading.Event()
        self.base = snapshot.base_backup
        self.planned: str | None = None  # by a fault

    def rest_until(self, deadline: float) -> None:
        left = max(deadline - time.monotonic(), 0)
        if self.canceled.wait(None if left == float("inf") else left):
            raise CanceledError


class Exports:
    def __init__(self, lab: Lab, password: Callable[[], str]) -> None:
        """`password` is the superuser's, the same in every snapshot of this lab."""
        self.lab, self._password = lab, password
        self._running: set[Task] = set()

    def install(self) -> None:
        operation(RDSResponse, "StartExportTask")(self._start)
        operation(RDSResponse, "DescribeExportTasks")(describe_export_tasks)
        operation(RDSResponse, "CancelExportTask")(cancel_export_task)

    def reset(self) -> None:
        for task in list(self._running):
            task.canceled.set()

    def _start(self, responses: Any) -> dict[str, Any]:
        asked = {name: responses._get_param(name) for name in REQUIRED}
        asked["S3Prefix"] = (responses._get_param("S3Prefix") or "").strip("/")
        asked["ExportOnly"] = list(responses._get_param("ExportOnly") or [])
        task = Task(asked, require_startable(responses.backend, asked))
        if fault := self.lab.faults.take("rds:StartExportTask", lambda one: one.kind == "outcome"):
            task.planned = fault.code
        task.base.hold()  # a snapshot may be deleted while it is exported
        responses.backend.export_tasks[asked["ExportTaskIdentifier"]] = task
        self._running.add(task)
        self.lab.work(self._carry_out, task)
        return describe(task)

    def _carry_out(self, task: Task) -> None:
        try:
            self._export(task)
        except CanceledError:
            self._end(task, "CANCELED")
        except ExportError as error:
            self._end(task, "FAILED", str(error))
        except (ClusterFailedError, psycopg2.Error, OSError) as error:
            log.error("export %s failed: %s", task.asked["ExportTaskIdentifier"], error)
            self._end(task, "FAILED", UNKNOWN)
        finally:
            task.base.let_go()
            self._running.discard(task)

    def _end(self, task: Task, status: str, failure: str | None = None) -> None:
        with self.lab.lock:
            task.status, task.failure, task.ended = status, failure, utc_now()

    def _export(self, task: Task) -> None:
        destination = Destination(self.lab, task.asked)
        until = self.lab.clock.deadline(STARTING)
        with self._server(task) as cluster:
            found = [
                table
                for table in find_tables(cluster, task.snapshot.master_username)
                if table.is_in(task.asked["ExportOnly"])
            ]
            task.rest_until(float("inf") if task.planned == "never" else until)
            if task.planned:
                raise ExportError(UNKNOWN)
            with self.lab.lock:
                task.status = "IN_PROGRESS"
            until = self.lab.clock.deadline(IN_PROGRESS)
            self._write(task, cluster, [table for table in found if not table.skipped], destination)
        task.rest_until(until)
        self._complete(task, found, destination)

    def _write(self, task: Task, cluster: Cluster, tables: list[Table], destination: Destination) -> None:
        done = []
        for number, table in enumerate(tables, start=1):
            began, before = utc_now(), destination.written
            for _ in write_table(cluster, table, destination):
                task.rest_until(0)
            done.append((table, began, utc_now(), destination.written - before))
            with self.lab.lock:
                task.percent = 99 * number // len(tables)
                task.extracted_gb = destination.written / GB
        name = task.asked["ExportTaskIdentifier"]
        destination.put(f"export_tables_info_{name}_from_1_to_{len(done)}.json", tables_info(done))

    def _complete(self, task: Task, found: list[Table], destination: Destination) -> None:
        """The last file tells of a task that is complete, so it is written in the moment in which it is."""
        with self.lab.lock:
            task.rest_until(0)
            task.warning = warning(found, task.asked["ExportOnly"])
            told = {**describe(task), "Status": "COMPLETE", "PercentProgress": 100, "TaskEndTime": utc_now()}
            destination.put(f"export_info_{task.asked['ExportTaskIdentifier']}.json", export_info(told, destination))
            task.percent = 100
            self._end(task, "COMPLETE")

    @contextmanager
    def _server(self, task: Task) -> Iterator[Cluster]:
        """A server on a copy of the snapshot's data."""
        root = self.lab.folder("rds") / f"export-{uuid.uuid4()}"
        cluster = Cluster(root, host=self.lab.network.address("database"), password=self._password())
        cluster.port = choose_port(cluster.host)
        try:
            cluster.create(task.base.folder)
            (cluster.data / "recovery.signal").touch()
            cluster.configure(recovery_to_backup(task.base))
            cluster.start(seconds=RECOVERY_SECONDS)
            yield cluster
        finally:
            cluster.stop(Signals.SIGQUIT)
            shutil.rmtree(root, ignore_errors=True)


def describe_export_tasks(self: Any) -> dict[str, Any]:
    named = {"export-task-identifier": "ExportTaskIdentifier", "source-arn": "SourceArn"}
    wanted = {name: [self._get_param(field)] for name, field in named.items() if self._get_param(field)}
    if (identifier := self._get_param("ExportTaskIdentifier")) and identifier not in self.backend.export_tasks:
        raise _not_found(identifier)
    filters = [wanted, {each["Name"]: each["Values"] for each in self._get_param("Filters") or []}]
    tasks = [task for task in self.backend.export_tasks.values() if all(fits(task, one) for one in filters)]
    if self._get_param("SourceType") == "CLUSTER":
        tasks = []
    return page(self, "ExportTasks", [describe(task) for task in tasks])


def cancel_export_task(self: Any) -> dict[str, Any]:
    identifier = self._get_param("ExportTaskIdentifier")
    task = self.backend.export_tasks.get(identifier)
    if task is None:
        raise _not_found(identifier)
    if task.status in ENDED:
        raise AWSError("InvalidExportTaskStateFault", f"The export task {identifier} is {task.status} already.")
    task.status = "CANCELING"
    task.canceled.set()
    return describe(task)


def _not_found(identifier: str) -> AWSError:
    return AWSError("ExportTaskNotFound", f"The export task {identifier} can't be found.")
