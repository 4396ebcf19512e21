"""What really happens to a DB instance: created, rebooted, stopped, started, recovered from a crash, deleted."""

import datetime
import time
from signal import Signals
from typing import Any

from psycopg2 import sql

from lab.rds_archiving import ship
from lab.rds_automated_backups import back_up
from lab.rds_catalog import ZONES
from lab.rds_instances import Instance, utc_now
from lab.rds_snapshots import fill, finish_when_ready

# Typical times of AWS, in AWS seconds; the real work may take longer, never less.
CREATE, REBOOT, STOP, START, RECOVER, DELETE = 240, 30, 180, 240, 10, 120
FAIL_OVER = 60  # "Failover times are typically 60-120 seconds"
SHOWN_AFTER = 5
RESTARTS_AFTER = datetime.timedelta(days=7)


def other_zone(db: Any) -> str:
    """Where the standby of a Multi-AZ instance is: another zone of its subnets, else of its region."""
    subnets = getattr(db, "db_subnet_group", None)
    of_subnets = [subnet["SubnetAvailabilityZone"]["Name"] for subnet in subnets.subnets] if subnets else []
    zones: list[str] = [*of_subnets] + [f"{db.region}{zone}" for zone in ZONES]
    return next(zone for zone in zones if zone != db.availability_zone)


def create(instance: Instance) -> None:
    db, cluster = instance.db, instance.cluster
    with instance.status("creating", CREATE):
        instance.take_endpoint()
        cluster.create(instance.template())
        instance.start()
        make_roles(instance, db.master_username, db._master_user_password, db.db_name)
    with instance.model():
        db.instance_create_time = utc_now()
        db.pending_modified_values.pop("MasterUserPassword", None)
        instance.reachable = True
        instance.tell("DB_INSTANCE_CREATE")
    if db.backup_retention_period:
        back_up(instance)
    instance.settle("available")


def make_roles(instance: Instance, master: str, password: str, database: str | None) -> None:
    """RDS's division of power: rdsadmin is the superuser, the master user only a member of rds_superuser."""
    cluster, name = instance.cluster, sql.Identifier(master)
    for role in ("rds_superuser", "rds_password", "rds_replication", "rds_iam"):
        cluster.query(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    cluster.query("GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION")
    cluster.query("GRANT rds_password, rds_replication TO rds_superuser WITH ADMIN OPTION")
    create_user = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {} VALID UNTIL 'infinity'")
    cluster.query(create_user.format(name, sql.Literal(password)))
    cluster.query(sql.SQL("GRANT rds_superuser TO {}").format(name))
    if cluster.query("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'"):
        # The master user, no superuser, could not; on RDS rdsadmin does it for him.
        cluster.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", database="template1")
        cluster.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    cluster.query(sql.SQL("ALTER DATABASE postgres OWNER TO {}").format(name))
    if database and database != "postgres":
        statement = sql.SQL("CREATE DATABASE {} OWNER {}")
        cluster.query(statement.format(sql.Identifier(database), name))


def reboot(instance: Instance) -> None:
    with instance.status("rebooting", REBOOT):
        instance.restart()
        instance.tell("DB_INSTANCE_RESTART")
    instance.settle("available")


def fail_over(instance: Instance, reason: str = "DB_INSTANCE_FAILOVER_REQUESTED", shown: str = "rebooting") -> None:
    """The standby is this machine too: connections break without a goodbye, nobody answers, and the zones swap."""
    with instance.outage(shown, FAIL_OVER, Signals.SIGQUIT):
        instance.tell("DB_INSTANCE_FAILOVER_STARTED")
    with instance.model() as db:
        zones = db.secondary_availability_zone, db.availability_zone
        db.availability_zone, db.secondary_availability_zone = zones
    for event in ("DB_INSTANCE_RESTART", reason, "DB_INSTANCE_FAILOVER_FINISHED"):
        instance.tell(event)
    instance.settle("available")


def stop(instance: Instance, snapshot: Any = None) -> None:
    with instance.status("stopping", STOP):
        if snapshot:
            fill(instance, snapshot)
        if instance.backups.bases:
            ship(instance)
        instance.cluster.stop()
    with instance.model() as db:
        db.automatic_restart_time = utc_now() + RESTARTS_AFTER
        instance.tell("DB_INSTANCE_STOPPED")
    instance.settle("stopped")


def start(instance: Instance) -> None:
    with instance.status("starting", START):
        instance.start()
    with instance.model() as db:
        db.automatic_restart_time = None
        instance.tell("DB_INSTANCE_STARTED")
    instance.settle("available")


def recover(instance: Instance) -> None:
    """PostgreSQL ended by itself: RDS starts it again, or its standby, and the status does not even change."""
    if instance.db.multi_az:
        return fail_over(instance, "DB_INSTANCE_FAILOVER_UNHEALTHY", "available")
    instance.tell("DB_INSTANCE_RECOVERY_STARTED")
    with instance.status("available", RECOVER):
        instance.start()
    instance.tell("DB_INSTANCE_RECOVERY_FINISHED")
    return instance.tell("DB_INSTANCE_RESTART")


def apply_parameters(instance: Instance) -> None:
    """Dynamic parameters of the group in use: RDS applies them without being asked."""
    with instance.model():
        chosen, names = instance.chosen(), instance.appliable()
        values = {name: value for name, value in instance.applied.items() if name not in names}
        values |= {name: chosen[name] for name in names if name in chosen}
    instance.rest(instance.lab.clock.seconds(SHOWN_AFTER))
    instance.configure(values)
    instance.cluster.reload()
    with instance.model():
        instance.applied = values


def delete(instance: Instance, keep_backups: bool, final: Any = None) -> None:
    until = instance.lab.clock.deadline(DELETE)
    if keep_backups and instance.backups.bases and instance.cluster.running:
        ship(instance)
    if final and not _take_final(instance, final):
        return
    instance.bury()
    until = max(until, final.ready_at if final else until)
    if instance.forgotten.wait(max(until - time.monotonic(), 0)):
        return
    with instance.lab.lock:
        if final:
            finish_when_ready(final)
        backend, identifier = instance.db.backend, instance.db.db_instance_identifier
        if backend.databases.get(identifier) is instance.db:
            instance.tell("DB_INSTANCE_DELETED")
            backend.delete_db_instance(identifier, None, True, False)
        if keep_backups and instance.backups.window:
            instance.backups.retain()
        else:
            instance.backups.end()
        instance.forgotten.set()


def _take_final(instance: Instance, final: Any) -> bool:
    """Of the stopped server, so that nothing comes after it. Without it the instance is not deleted."""
    with instance.busy:
        instance.cluster.stop()
        if fill(instance, final):
            return True
    instance.show("available")
    return False
