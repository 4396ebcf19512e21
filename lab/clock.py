"""AWS time: every duration that AWS would wait, shorter by one factor and never skipped."""

import time
from dataclasses import dataclass

# The shortest that a minute of AWS's becomes: an application's numbers of less than this say nothing.
SHORTEST_MINUTE_SECONDS = 1.0


@dataclass(frozen=True)
class Clock:
    """Runs `speed` times faster than AWS: with 50, a warm-up of 300 s takes 6 s."""

    speed: float = 50.0

    def seconds(self, aws_seconds: float) -> float:
        """How many seconds of this machine `aws_seconds` last."""
        return aws_seconds / self.speed

    def deadline(self, aws_seconds: float) -> float:
        """The `time.monotonic()` at which `aws_seconds` from now have passed."""
        return time.monotonic() + self.seconds(aws_seconds)

    def sleep(self, aws_seconds: float) -> None:
        time.sleep(self.seconds(aws_seconds))


class Minutes:
    """AWS's minutes as the control loop lives them: while it is held up none passes, and no metric gets a gap."""

    def __init__(self, clock: Clock) -> None:
        self.seconds = max(clock.seconds(60.0), SHORTEST_MINUTE_SECONDS)
        self.count = 1
        self._next = time.monotonic() + self.seconds

    def pass_by(self) -> None:
        """At most one at a time."""
        if time.monotonic() >= self._next:
            self.count += 1
            self._next = time.monotonic() + self.seconds
