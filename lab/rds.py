"""RDS: every DB instance is a real PostgreSQL server."""

import secrets
import shutil
import string
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from moto.rds import utils
from moto.rds.exceptions import DBInstanceNotFoundError
from moto.rds.models import DBInstance

from lab import (
    rds_archiving,
    rds_automated_backups,
    rds_catalog,
    rds_events,
    rds_lifecycle,
    rds_modify,
    rds_operations,
    rds_parameter_groups,
    rds_replicas,
    rds_restores,
    rds_snapshots,
)
from lab.extend import Method, around
from lab.lab import Lab
from lab.lost_zones import is_lost
from lab.postgres import Cluster
from lab.rds_backups import AutomatedBackups
from lab.rds_exports import Exports
from lab.rds_instances import Instance, utc_now
from lab.rds_metrics import Metrics
from lab.rds_replicas import ReplicatedBackups


class RDS:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        # By DbiResourceId, which outlives a rename.
        self.instances: dict[str, Instance] = {}
        # What deleted instances left to be restored from.
        self.retained: list[AutomatedBackups] = []
        # What was copied into other Regions.
        self.replicas: list[ReplicatedBackups] = []
        self._template: Cluster | None = None
        self._template_lock = threading.Lock()
        self._exports = Exports(lab, self._template_password)
        self._metrics = Metrics()
        self._metrics_minute = 0
        self._measuring: Future[None] | None = None

    def install(self) -> None:
        rds_catalog.install()
        rds_parameter_groups.install(self._users)
        rds_operations.install(self.lab, self._find, self._add)
        rds_snapshots.install(self.lab, self._find)
        rds_automated_backups.install(self._automated_backups, self._forget)
        rds_replicas.install(self.lab, self._find, self.replicas)
        rds_restores.install(self.lab, self._find, self._add, self._automated_backups)
        rds_modify.install(self._find)
        rds_events.install(self._find)
        self._exports.install()
        self._extend_instances()
        _let_windows_touch()

    def tick(self) -> None:
        for key, instance in list(self.instances.items()):
            if instance.forgotten.is_set():
                del self.instances[key]
                self.retained += [instance.backups] if instance.backups.retained else []
            elif not (instance.changing or instance.adjusting) and instance.reachable and not instance.gone.is_set():
                self._reconcile(instance)
            if _can_be_asked(instance):
                rds_archiving.ship_when_due(instance)
        for backups in self._automated_backups():
            backups.expire(utc_now())
        for replica in self.replicas:
            rds_replicas.copy_when_due(self.lab, replica)
        rds_snapshots.tick()
        self._measure_once_a_minute()

    def _measure_once_a_minute(self) -> None:
        if self.lab.minutes.count == self._metrics_minute or (self._measuring and not self._measuring.done()):
            return
        self._metrics_minute = self.lab.minutes.count
        if alive := [each for each in self.instances.values() if _can_be_asked(each)]:
            self._measuring = self.lab.work(self._metrics.collect, alive)

    def _reconcile(self, instance: Instance) -> None:
        db = instance.db
        if db.status != "available":
            return
        lost = is_lost(db, db.availability_zone)
        if lost and db.multi_az and not is_lost(db, db.secondary_availability_zone):
            instance.begin(rds_lifecycle.fail_over, "DB_INSTANCE_FAILOVER_UNREACHABLE", "available")
            return
        instance.cluster.freeze(lost)
        if lost:
            return
        if not instance.cluster.running:
            instance.begin(rds_lifecycle.recover)
        elif instance.appliable():
            instance.begin_quietly(rds_lifecycle.apply_parameters)
        elif due := rds_modify.due_in_window(db):
            instance.begin(rds_modify.modify, due)
        elif instance.backups.is_due(utc_now()):
            instance.begin(rds_automated_backups.back_up_daily)

    def reset(self) -> None:
        self._exports.reset()
        with self.lab.lock:
            instances = list(self.instances.values())
            self.instances.clear()
            self.retained.clear()
            replicas = list(self.replicas)
            self.replicas.clear()
        for replica in replicas:
            replica.over.set()
        for instance in instances:
            instance.gone.set()
            instance.forgotten.set()
        with ThreadPoolExecutor(8) as workers:
            list(workers.map(Instance.bury, instances))
        made = [self.lab.folder(name) for name in ("rds-snapshots", "rds-replicas")]
        for folder in (*self.lab.folder("rds").glob("db-*"), *made):
            shutil.rmtree(folder, ignore_errors=True)

    def status(self) -> dict[str, Any]:
        return {
            each.db.db_instance_identifier: {
                "status": each.db.status,
                "endpoint": f"{each.cluster.host}:{each.cluster.port}" if each.reachable else None,
                "server": each.cluster.binaries.version,
                "pid": each.cluster.process.pid if each.cluster.process and each.cluster.running else None,
                "reason": each.failure,
            }
            for each in self.instances.values()
        }

    def _find(self, db: Any) -> Instance:
        if db.dbi_resource_id not in self.instances:
            raise DBInstanceNotFoundError(db.db_instance_identifier)
        return self.instances[db.dbi_resource_id]

    def _automated_backups(self) -> list[AutomatedBackups]:
        return [*(each.backups for each in self.instances.values()), *self.retained, *self.replicas]

    def _forget(self, backups: AutomatedBackups) -> None:
        if isinstance(backups, ReplicatedBackups):
            self.replicas.remove(backups)
        else:
            self.retained.remove(backups)
        backups.end()

    def _add(self, db: Any) -> Instance:
        folder = self.lab.folder("rds") / db.dbi_resource_id
        cluster = Cluster(folder, password=self._template_password())
        instance = self.instances[db.dbi_resource_id] = Instance(self.lab, db, cluster, self._template_data)
        return instance

    def _template_cluster(self) -> Cluster:
        if self._template is None:
            self._template = Cluster(self.lab.folder("rds") / "template")
        return self._template

    def _template_password(self) -> str:
        return self._template_cluster().password

    def _template_data(self) -> Path:
        """An initialized data directory, made once per lab: a copy is quicker than initdb."""
        with self._template_lock:
            template = self._template_cluster()
            if not template.data.exists():
                template.create()
            return template.data

    def _users(self, group: str) -> list[str]:
        return [each.db.db_instance_identifier for each in self.instances.values() if each.group().name == group]

    def _extend_instances(self) -> None:
        """What moto's DBInstance says of itself, from what is real."""
        known = self.instances

        @around(DBInstance, "__init__")
        def initialize(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.dbi_resource_id = _new_resource_id()

        @around(DBInstance, "save_automated_backup")
        def save_automated_backup(original: Method, self: Any) -> None:
            """A snapshot is shown when there is one: rds_lifecycle.back_up."""

        def real(db: Any) -> Instance | None:
            instance = known.get(db.dbi_resource_id)
            return instance if instance and instance.reachable else None

        def endpoint(db: Any) -> dict[str, Any] | None:
            instance = real(db)
            if instance is None:
                return None
            return {"Address": instance.cluster.host, "Port": instance.cluster.port, "HostedZoneId": "Z2VFMSZA74J7XZ"}

        def groups(db: Any) -> list[dict[str, Any]]:
            instance = known.get(db.dbi_resource_id)
            names = [group.name for group in db.db_parameter_groups()]
            status = instance.apply_status() if instance else "in-sync"
            return [{"DBParameterGroupName": name, "ParameterApplyStatus": status} for name in names]

        def restorable(db: Any) -> Any:
            instance = real(db)
            return instance.backups.window[1] if instance and instance.backups.window else None

        def replications(db: Any) -> list[dict[str, str]]:
            instance = known.get(db.dbi_resource_id)
            return instance.backups.replications if instance else []

        DBInstance.db_instance_automated_backups_replications = property(replications)
        DBInstance.endpoint = property(endpoint)
        DBInstance.address = property(lambda db: (endpoint(db) or {}).get("Address"))
        DBInstance.db_parameter_group_status_list = property(groups)
        DBInstance.latest_restorable_time = property(restorable)


def _can_be_asked(instance: Instance) -> bool:
    return instance.reachable and instance.cluster.running and not instance.cluster.frozen


def _new_resource_id() -> str:
    return "db-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26))


def _let_windows_touch() -> None:
    """AWS allows a maintenance window that begins where the backup window ends; moto calls it an overlap."""
    overlap = utils.get_overlap_between_two_date_ranges
    utils.get_overlap_between_two_date_ranges = lambda *ranges, **named: overlap(*ranges, **named) or -1
