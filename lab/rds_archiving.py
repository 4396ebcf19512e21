"""The log of each DB instance, brought into its archive every five minutes: up to there it can be restored."""

import time
from pathlib import Path

from lab.base_backup import mark
from lab.postgres import ClusterFailedError
from lab.rds_instances import Instance

# In AWS seconds. Never more than once a second of this machine, however fast the lab is.
SHIP = 300
SHORTEST_SECONDS = 1.0
ARCHIVED_SECONDS = 20.0
LOOK_SECONDS = 0.02


def ship_when_due(instance: Instance) -> None:
    """Called by the control loop."""
    backups = instance.backups
    if backups.shipping or not backups.bases or time.monotonic() < backups.next_shipping:
        return
    if backups.exist and instance.cluster.running and not instance.gone.is_set():
        backups.shipping = True
        instance.lab.work(_ship_in_turn, instance)


def _ship_in_turn(instance: Instance) -> None:
    try:
        ship(instance)
    finally:
        with instance.lab.lock:
            instance.backups.shipping = False
            pause = max(instance.lab.clock.seconds(SHIP), SHORTEST_SECONDS)
            instance.backups.next_shipping = time.monotonic() + pause


def ship(instance: Instance) -> None:
    """Bring the log until now into the archive. The latest restorable time moves only when it has arrived there."""
    try:
        moment, segment = mark(instance.cluster)
    except ClusterFailedError:  # it is being restarted: the next time will do
        return
    if _arrives(instance, instance.cluster.archive / segment):
        with instance.lab.lock:
            instance.backups.latest = max(moment, instance.backups.latest or moment)


def _arrives(instance: Instance, path: Path) -> bool:
    deadline = time.monotonic() + ARCHIVED_SECONDS
    while not path.exists():
        if time.monotonic() > deadline or instance.gone.wait(LOOK_SECONDS):
            return False
    return True
