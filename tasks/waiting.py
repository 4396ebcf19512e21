"""The one loop that waits: it polls as often as the answer is worth, and ends at once when the outcome is known."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from tasks.errors import WaitTimedOut

T = TypeVar("T")

SHORTEST_POLL_SECONDS = 2.0
LONGEST_POLL_SECONDS = 30.0
# The next look after a twentieth of the time waited so far: about 100 looks for 15 minutes, a lag of 5 %.
RELATIVE_LAG = 0.05
JITTER = 0.1
# Of what usually takes so long: seldom before it may be due, often around that time (performance.md measured both).
EARLY, EARLY_STEP, DUE_STEP = 0.6, 0.1, 0.02
# What ends much sooner than usual has mostly failed, and is not worth an hour of silence either.
EARLY_LAG = 0.5


def wait_until(
    thing: str,
    look: Callable[[], T],
    is_done: Callable[[T], bool],
    *,
    timeout_seconds: float,
    expected: str,
    shortest_poll_seconds: float | None = None,
    usual_seconds: float | None = None,
) -> T:
    """Look again and again until `is_done`; a failure state is `is_done`'s to raise.

    Args:
        usual_seconds: how long it took before, if that is known: most looks are then made around that time.

    Raises:
        WaitTimedOut: after `timeout_seconds`, with the thing, what was seen last and what was expected.
    """
    began, shortest = time.monotonic(), shortest_poll_seconds or SHORTEST_POLL_SECONDS
    while True:
        seen = look()
        if is_done(seen):
            return seen
        waited = time.monotonic() - began
        if waited >= timeout_seconds:
            raise WaitTimedOut(
                f"{thing} was {seen!r} after {waited:.0f} s, expected {expected}. It may still get there:"
                " look at it before you start this again."
            )
        poll = _poll_seconds(waited, shortest, usual_seconds)
        time.sleep(min(poll, timeout_seconds - waited + 0.01))


def _poll_seconds(waited: float, shortest: float, usual: float | None) -> float:
    step = waited * RELATIVE_LAG
    if usual and waited < usual:
        step = min(usual * EARLY_STEP, waited * EARLY_LAG) if waited < usual * EARLY else usual * DUE_STEP
    seconds = min(max(step, shortest), LONGEST_POLL_SECONDS)
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter, not cryptography
