"""The real side of one DB instance: its PostgreSQL cluster, and the one change at a time that is made to it."""

import datetime
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import Signals
from typing import Any

from lab.lab import Lab
from lab.postgres import PORT, Cluster, ClusterFailedError, choose_port
from lab.rds_backups import AutomatedBackups
from lab.rds_catalog import memory_bytes
from lab.rds_parameters import parameters, settings

log = logging.getLogger("lab.rds")
Work = Callable[..., None]


class GoneError(RuntimeError):
    """The instance is deleted, or the lab is reset, while something was being done to it."""


class FailedError(RuntimeError):
    """What was done to the instance ends in a status of failure."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Instance:
    """Beside moto's DBInstance `db`, which stays plain data."""

    def __init__(self, lab: Lab, db: Any, cluster: Cluster, template: Callable[[], Path]) -> None:
        self.lab, self.db, self.cluster, self.template = lab, db, cluster, template
        self.backups = AutomatedBackups(db, cluster.root)
        self.gone = threading.Event()
        self.forgotten = threading.Event()
        self.busy = threading.Lock()
        # All below is read and written with the lab's lock held.
        self.reachable = False
        self.changing = False  # by an accepted request or a recovery: others are refused
        self.under_way: str | None = None  # which of the two marks the current work holds
        self.adjusting = False  # by RDS itself: others wait
        self.failure: str | None = None
        self.applied: dict[str, str] = {}
        self.applied_group = ""

    def begin(self, work: Work, *arguments: Any) -> None:
        """Accept a change: it is under way from now on, its status shows a little later, as on AWS."""
        self.changing = True
        self.lab.work(self._carry_out, "changing", work, *arguments)

    def begin_quietly(self, work: Work) -> None:
        """A change that holds no other up: the next one waits its turn."""
        self.adjusting = True
        self.lab.work(self._carry_out, "adjusting", work)

    def _carry_out(self, mark: str, work: Work, *arguments: Any) -> None:
        with self.busy:
            self.under_way = mark
            try:
                work(self, *arguments)
            except GoneError:
                log.info("%s went away while it was changed", self.db.db_instance_identifier)
            except FailedError as error:
                self._fail(str(error), error.status)
            except ClusterFailedError as error:
                self._fail(str(error), "incompatible-parameters" if self.chosen() else "failed")
            except Exception as error:
                self._fail(repr(error), "failed")
                raise
            finally:
                with self.lab.lock:
                    self._let_others()

    def _fail(self, reason: str, status: str) -> None:
        with self.lab.lock:
            if self.gone.is_set():
                return
            self.failure = reason
            self.db.status = status
            self._let_others()
            event = "DB_INSTANCE_INVALID_PARAMETERS" if status == "incompatible-parameters" else "DB_INSTANCE_FAILED"
            self.tell(event, f"{status}: {reason}")
        log.error("%s is %s: %s", self.db.db_instance_identifier, self.db.status, reason)

    def show(self, status: str) -> None:
        with self.lab.lock:
            if self.gone.is_set():
                raise GoneError
            self.db.status = status
            self.failure = None

    def settle(self, status: str) -> None:
        """Show the last status of a change: whoever sees it may ask for the next change."""
        with self.lab.lock:
            self.show(status)
            self._let_others()

    def _let_others(self) -> None:
        if self.under_way:
            setattr(self, self.under_way, False)
        self.under_way = None

    @contextmanager
    def status(self, name: str, aws_seconds: float) -> Iterator[None]:
        """Show `name` while the block works, and at least as long as AWS typically takes."""
        self.show(name)
        until = self.lab.clock.deadline(aws_seconds)
        yield
        self.rest(until - time.monotonic())

    @contextmanager
    def outage(self, name: str, aws_seconds: float, how: Signals = Signals.SIGINT) -> Iterator[None]:
        """The same, and nobody is served meanwhile; at its end with whatever the block has changed."""
        with self.status(name, aws_seconds):
            self.cluster.stop(how)
            yield
        self.start()

    def rest(self, seconds: float) -> None:
        if self.gone.wait(max(seconds, 0)):
            raise GoneError

    @contextmanager
    def model(self) -> Iterator[Any]:
        """moto's DBInstance, with the lab's lock held, for writing an outcome down."""
        with self.lab.lock:
            if self.gone.is_set():
                raise GoneError
            yield self.db

    def tell(self, event: str, message: str | None = None) -> None:
        """Add an event to what DescribeEvents shows."""
        with self.lab.lock:
            self.db.add_event(event)
            if message:
                self.db.backend.events[-1].message = message

    def group(self) -> Any:
        return self.db.db_parameter_groups()[0]

    def chosen(self) -> dict[str, str]:
        """The values that the parameter group says now."""
        return {name: facts["ParameterValue"] for name, facts in self.group().parameters.items()}

    def unapplied(self) -> set[str]:
        chosen = self.chosen()
        return {name for name in {*chosen, *self.applied} if chosen.get(name) != self.applied.get(name)}

    def appliable(self) -> set[str]:
        """The changed parameters that take effect without a reboot."""
        if self.group().name != self.applied_group:
            return set()
        facts = self.group().parameters
        return {
            name
            for name in self.unapplied()
            if not parameters()[name].static and facts.get(name, {}).get("ApplyMethod", "immediate") == "immediate"
        }

    def apply_status(self) -> str:
        if self.appliable():
            return "applying"
        in_sync = self.group().name == self.applied_group and not self.unapplied()
        return "in-sync" if in_sync or not self.reachable else "pending-reboot"

    def configure(self, values: Mapping[str, str], recovery: Mapping[str, str] | None = None) -> None:
        real = settings(values, self.db.db_instance_class, self.cluster.port) | dict(recovery or {})
        archive = bool(self.db.backup_retention_period)
        self.cluster.configure(real, force_ssl=values.get("rds.force_ssl", "1") == "1", archive=archive)

    def take_endpoint(self) -> None:
        """An endpoint's name is made of identifier and Region: whoever is called so answers there."""
        cluster, db = self.cluster, self.db
        cluster.host = self.lab.network.address_of("database", f"{db.db_instance_identifier}.{db.region}")
        cluster.port = choose_port(cluster.host, db.port or PORT)

    def start(self) -> None:
        """Start the server with what its parameter group and class say now."""
        with self.model():
            chosen, group = self.chosen(), self.group().name
        self.configure(chosen)
        with self.lab.lock:
            self.applied, self.applied_group = chosen, group
        self.cluster.start(memory_bytes(self.db.db_instance_class))

    def restart(self, how: Signals = Signals.SIGINT) -> None:
        self.cluster.stop(how)
        self.start()

    def bury(self) -> None:
        """Stop the server at once and remove its files; whatever is being done to it gives up first."""
        self.gone.set()
        self.cluster.stop(Signals.SIGQUIT)
        with self.busy:
            self.cluster.remove()


def utc_now() -> datetime.datetime:
    """As moto writes times: in UTC, and saying nothing about it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
