"""How long the clients of a service went without it: measured by using it as they do, not asked of AWS's API."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tasks import application, postgres, secretsmanager
from tasks.environment import Environment
from tasks.errors import PreconditionFailed
from tasks.postgres import Address
from tasks.report import say
from tasks.waiting import wait_until

USERS, DATABASE_CLIENTS = "users", "database clients"
# Between two uses by one client: so much may be wrong in what is measured.
EVERY_SECONDS = 0.2
STATEMENT_SECONDS = 5.0
SERVED_SECONDS = 600
ERRORS_SHOWN = 2
ERROR_CHARACTERS = 160


@dataclass(frozen=True)
class Use:
    """One use of the service, in seconds of this machine's monotonic clock; without an error it was served."""

    began: float
    ended: float
    error: str = ""


@dataclass(frozen=True)
class Downtime:
    """What one client went through: each time from when a use that fails was sent until one was served again."""

    client: str
    uses: int
    failed: int
    seconds: float
    is_over: bool
    errors: tuple[str, ...]

    def __str__(self) -> str:
        end = "" if self.is_over else " and still are"
        why = f": {'; '.join(self.errors)}" if self.errors else ""
        failed = f"{self.failed} of {self.uses} uses failed{why}"
        return f"{self.client} were without service for {self.seconds:.1f} s{end}, {failed}"


def sum_up(client: str, uses: Sequence[Use]) -> Downtime:
    """A client that was never heard of is not served."""
    seconds, since = 0.0, None
    for use in uses:
        if use.error and since is None:
            since = use.began
        elif not use.error and since is not None:
            seconds, since = seconds + use.ended - since, None
    if since is not None:
        seconds += uses[-1].ended - since
    errors = Counter(use.error[:ERROR_CHARACTERS] for use in uses if use.error)
    most = tuple(error for error, _ in errors.most_common(ERRORS_SHOWN))
    return Downtime(client, len(uses), errors.total(), seconds, bool(uses) and since is None, most)


@dataclass
class Watch:
    """Clients at work, each in a thread of its own. A client is asked once before the others begin."""

    clients: Mapping[str, Callable[[], str]]
    _uses: dict[str, list[Use]] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _at_work: list["Future[None]"] = field(default_factory=list)

    def begin(self) -> None:
        for client, use in self.clients.items():
            self._uses[client] = [_timed(use)]
        workers = ThreadPoolExecutor(len(self.clients), "client")
        self._at_work = [workers.submit(self._keep_using, client) for client in self.clients]
        workers.shutdown(wait=False)

    def end(self) -> tuple[Downtime, ...]:
        """What each client went through until now; what broke a client's measurement is raised."""
        self._ended.set()
        for client in self._at_work:
            client.result()
        return self.downtimes()

    def downtimes(self) -> tuple[Downtime, ...]:
        return tuple(sum_up(client, list(uses)) for client, uses in self._uses.items())

    def wait_until_served(self) -> tuple[Downtime, ...]:
        """
        Raises:
            WaitTimedOut: a client is still without service.
        """
        wait_until(
            "the clients",
            lambda: [str(one) for one in self.downtimes() if not one.is_over],
            lambda waiting: not waiting,
            timeout_seconds=SERVED_SECONDS,
            expected="all of them served again, by themselves",
        )
        return self.end()

    def _keep_using(self, client: str) -> None:
        uses = self._uses[client]
        while not self._ended.wait(max(uses[-1].began + EVERY_SECONDS - time.monotonic(), 0)):
            uses.append(_timed(self.clients[client]))


@contextmanager
def watch(environment: Environment) -> Iterator[Watch]:
    """Be a user of the application and a client of its database until the end of the block.

    Raises:
        PreconditionFailed: the database's secret has no value. Nothing was changed.
    """
    secret = secretsmanager.read_value(environment.db_secret_arn)
    if secret is None:
        raise PreconditionFailed(
            f"{environment.db_secret_arn} has no value, expected the database's address: nothing can be measured"
        )
    address = Address.of_secret(secret)
    with application.visitor(environment) as visit:
        watching = Watch(
            {
                USERS: lambda: _unserved(visit()),
                DATABASE_CLIENTS: lambda: _refused(address),
            }
        )
        watching.begin()
        try:
            yield watching
        finally:
            watching.end()


def say_downtimes(downtimes: Sequence[Downtime]) -> None:
    for one in downtimes:
        say(f"{one} (asked every {EVERY_SECONDS:g} s)")


def _timed(use: Callable[[], str]) -> Use:
    began = time.monotonic()
    error = use()
    return Use(began, time.monotonic(), error)


def _unserved(visit: application.Visit) -> str:
    answer = visit.answer
    return "" if answer.is_well else answer.error or f"HTTP {answer.status_code}, {answer.reason}"


def _refused(address: Address) -> str:
    """A connection of its own for each use: an old one can hang on a host that is gone."""
    try:
        with postgres.open_session(address, STATEMENT_SECONDS) as session:
            postgres.ask(session, "select 1")
    except PreconditionFailed as refusal:
        return str(refusal)
    return ""
