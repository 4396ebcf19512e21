"""What is going to run where: shown, approved, and then done exactly so."""

import hashlib
import math
from dataclasses import dataclass

DELIVERY_SECONDS = 60  # until SSM gives up reaching an instance's agent


@dataclass(frozen=True)
class ShellPlan:
    environment: str
    commands: tuple[str, ...]
    instance_ids: tuple[str, ...]
    max_concurrency: str
    max_errors: str
    timeout_seconds: int

    @property
    def hash(self) -> str:
        """Two plans with the same hash do the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    @property
    def longest_seconds(self) -> int:
        """How long it takes when every instance needs all of its time, in waves of `max_concurrency`."""
        waves = math.ceil(len(self.instance_ids) / self.at_once)
        return waves * (self.timeout_seconds + DELIVERY_SECONDS)

    @property
    def at_once(self) -> int:
        """SSM takes a percentage of the targets, and never less than one."""
        if self.max_concurrency.endswith("%"):
            return max(1, len(self.instance_ids) * int(self.max_concurrency[:-1]) // 100)
        return int(self.max_concurrency)

    def __str__(self) -> str:
        return (
            f"`{'; '.join(self.commands)}` on {len(self.instance_ids)} instances of {self.environment}"
            f" ({', '.join(self.instance_ids)}), {self.at_once} at a time, stopping beyond {self.max_errors} errors,"
            f" {self.timeout_seconds} s each"
        )
