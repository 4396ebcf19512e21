"""A target group inside the load balancer's process: its targets, their health checks, and draining."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

Health = tuple[str, str | None, str | None]

REGISTERING: Health = ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING: Health = ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
HEALTHY: Health = ("healthy", None, None)
UNCHECKED: Health = (
    "unavailable",
    "Target.HealthCheckDisabled",
    "Health checks are disabled for this target group",
)
DRAINING: Health = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")

# "After your target is registered, it must pass one health check to be considered healthy": AWS's threshold
# counts only for the way back from unhealthy.
INITIAL_PASSES = 1


@dataclass
class Target:
    """One registration. The same target registered again is another one."""

    registration: str
    port: int
    address: str | None
    health: Health = REGISTERING
    in_flight: int = 0
    passed: int = 0
    failed: int = 0
    draining_since: float | None = None
    checks: "asyncio.Task[None] | None" = None

    @property
    def state(self) -> str:
        return self.health[0]

    def drain(self) -> None:
        if self.draining_since is None:
            self.draining_since, self.health = time.monotonic(), DRAINING
            self.stop_checks()

    def stop_checks(self) -> None:
        if self.checks:
            self.checks.cancel()

    def note(self, failure: Health | None, needed_passes: int, needed_failures: int) -> None:
        """Count one health check; enough in a row change the state."""
        self.passed, self.failed = (0, self.failed + 1) if failure else (self.passed + 1, 0)
        wanted = INITIAL_PASSES if self.state == "initial" else needed_passes
        if failure is None and self.passed >= wanted:
            self.health = HEALTHY
        elif failure and (self.failed >= needed_failures or self.state == "unhealthy"):
            self.health = failure


@dataclass
class TargetGroup:
    session: ClientSession
    settings: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    _turn: "itertools.count[int]" = field(default_factory=itertools.count)

    def apply(self, settings: dict[str, Any]) -> None:
        """Make the targets match; health check settings count from the next check on."""
        self.settings = settings
        wanted = {one["registration"]: one for one in settings["targets"]}
        for gone in self.targets.keys() - wanted.keys():
            self.targets.pop(gone).stop_checks()
        for registration, one in wanted.items():
            if registration not in self.targets:
                self._register(Target(registration, one["port"], one["address"]))
            target = self.targets[registration]
            target.address = one["address"]
            if one["draining"]:
                target.drain()

    def _register(self, target: Target) -> None:
        self.targets[target.registration] = target
        target.checks = asyncio.create_task(self._keep_checking(target))

    def close(self) -> None:
        for target in self.targets.values():
            target.stop_checks()

    def pick(self) -> Target | None:
        """Round robin over the healthy ones; when there are none the group fails open, as on AWS."""
        candidates = [t for t in self.targets.values() if t.state in ("healthy", "unavailable")] or [
            t for t in self.targets.values() if t.state == "unhealthy"
        ]
        return candidates[next(self._turn) % len(candidates)] if candidates else None

    def url(self, target: Target) -> str:
        return f"{self.settings['protocol'].lower()}://{target.address}:{target.port}"

    def observed(self) -> dict[str, dict[str, Any]]:
        return {
            target.registration: {
                "health": target.health,
                "in_flight": target.in_flight,
                "drained": self._is_drained(target),
            }
            for target in self.targets.values()
        }

    def _is_drained(self, target: Target) -> bool:
        """Idle, a target drains for the scaled delay; requests run in real time and get the whole of it."""
        if target.draining_since is None:
            return False
        waited = time.monotonic() - target.draining_since
        delay = self.settings["delay_in_flight"] if target.in_flight else self.settings["delay_idle"]
        return bool(waited >= delay)

    async def _keep_checking(self, target: Target) -> None:
        while True:
            began = time.monotonic()
            if self.settings["health_check"]["enabled"]:
                await self._check(target)
            else:
                target.health = UNCHECKED
            await asyncio.sleep(max(0.0, began + self.settings["health_check"]["interval"] - time.monotonic()))

    async def _check(self, target: Target) -> None:
        if target.health == REGISTERING or target.health == UNCHECKED:
            target.health = CHECKING
        failure = await self._failure(target)
        check = self.settings["health_check"]
        target.note(failure, check["healthy_threshold"], check["unhealthy_threshold"])

    async def _failure(self, target: Target) -> Health | None:
        check = self.settings["health_check"]
        port = target.port if check["port"] == "traffic-port" else check["port"]
        url = f"{check['protocol'].lower()}://{target.address}:{port}{check['path']}"
        timeout = ClientTimeout(total=check["timeout"])
        headers = {"User-Agent": "ELB-HealthChecker/2.0"}
        try:
            if target.address is None:
                await asyncio.sleep(check["timeout"])
                raise TimeoutError
            async with self.session.get(
                url, timeout=timeout, headers=headers, ssl=False, allow_redirects=False
            ) as answer:
                if matches(answer.status, check["matcher"]):
                    return None
                reason = f"Health checks failed with these codes: [{answer.status}]"
                return "unhealthy", "Target.ResponseCodeMismatch", reason
        except TimeoutError:
            return "unhealthy", "Target.Timeout", "Request timed out"
        except (ClientError, OSError, ValueError):
            return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"


def matches(status: int, matcher: str) -> bool:
    """Whether a health check's answer is among AWS's "200", "200-299" or "200,202"."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
