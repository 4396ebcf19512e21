"""What users meet while something is done to their environment: requests through the load balancer, one a second."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tasks import application
from tasks.environment import Environment

EVERY_SECONDS = 1.0
ENDED_SECONDS = 2 * application.TIMEOUT_SECONDS
# Assumed, nobody has promised it yet: so much of 30 days may fail.
SLO = 0.999
BUDGET_SECONDS = (1 - SLO) * 30 * 86_400


@dataclass
class Traffic:
    """Requests that a probe sent, and for how many seconds it looked."""

    sent: int = 0
    failed: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.sent + other.sent, self.failed + other.failed, self.seconds + other.seconds)

    @property
    def failed_seconds(self) -> float:
        return self.seconds * self.failed / self.sent if self.sent else 0.0

    @property
    def budget_spent(self) -> float:
        """In percent of the error budget of 30 days."""
        return 100 * self.failed_seconds / BUDGET_SECONDS

    def __str__(self) -> str:
        if not self.sent:
            return "no request was sent: what users met is not known"
        return (
            f"{self.failed} of {self.sent} requests failed in {self.seconds:.0f} s: {self.budget_spent:.2f} % of the"
            f" error budget of 30 days ({BUDGET_SECONDS:.0f} s) is spent"
        )


@contextmanager
def watched(environment: Environment) -> Iterator[Traffic]:
    """Sends requests until the end of the block; what they met is in what it yields, all the time."""
    seen, ended = Traffic(), threading.Event()
    prober = threading.Thread(target=_probe, args=(environment, seen, ended), name="traffic", daemon=True)
    prober.start()
    try:
        yield seen
    finally:
        ended.set()
        prober.join(ENDED_SECONDS)


def _probe(environment: Environment, seen: Traffic, ended: threading.Event) -> None:
    for visit in application.visits(environment):
        seen.sent += 1
        seen.failed += not visit.answer.is_well
        seen.seconds += max(EVERY_SECONDS, visit.milliseconds / 1000)
        if ended.wait(max(0.0, EVERY_SECONDS - visit.milliseconds / 1000)):
            return
