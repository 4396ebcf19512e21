"""May this change go on? Asked before it and between its steps: alarms, capacity, and what users see."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tasks import application, cloudwatch, elbv2
from tasks.environment import Environment
from tasks.errors import PreconditionFailed
from tasks.kinds import probe

VISITS_PER_LOOK = 3
# Two failures in one look, or in two looks in a row: one alone may be the network between us and the load balancer.
FAILURES_TO_STOP = 2


@probe
def require_calm(environment: Environment) -> None:
    """No critical alarm fires before a change begins: it would be blamed, and AWS would roll it back at once."""
    if firing := cloudwatch.firing_alarms(environment.critical_alarm_names):
        raise PreconditionFailed(
            f"{environment} has critical alarms in state ALARM: {', '.join(firing)}. Expected none."
            " Mend what they tell of first."
        )


def service_gate(environment: Environment, lowest_capacity: int) -> Callable[[], list[str]]:
    """What a watched change asks at every look; its answer is the reasons to stop, or none."""
    return ServiceGate(environment, lowest_capacity).reasons_to_stop


@dataclass
class ServiceGate:
    environment: Environment
    lowest_capacity: int
    failures: int = 0
    short_looks: int = field(default=0)

    def reasons_to_stop(self) -> list[str]:
        return [*self._alarms(), *self._errors(), *self._capacity()]

    def _alarms(self) -> list[str]:
        return [f"alarm {name} fires" for name in cloudwatch.firing_alarms(self.environment.critical_alarm_names)]

    def _errors(self) -> list[str]:
        """Failures add up over looks and are forgiven by a clean one."""
        failed = sum(not one.answer.is_well for one in application.visit(self.environment, VISITS_PER_LOOK))
        self.failures = self.failures + failed if failed else 0
        if self.failures < FAILURES_TO_STOP:
            return []
        return [f"{self.failures} requests to {self.environment.alb_url}/ready failed in a row of looks, expected 0"]

    def _capacity(self) -> list[str]:
        healthy = elbv2.count_healthy(self.environment)
        self.short_looks = self.short_looks + 1 if healthy < self.lowest_capacity else 0
        if self.short_looks < FAILURES_TO_STOP:
            return []
        return [f"{healthy} targets are healthy, expected at least {self.lowest_capacity}"]
