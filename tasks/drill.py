"""A drill as data: what must hold, what is broken and how each step is taken back, how it recovers, what proves it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.change_lock import Lease
from tasks.environment import Environment
from tasks.errors import PreconditionFailed


@dataclass(frozen=True)
class Target:
    kind: str  # as AWS calls it: "EC2 instance", "RDS instance", "Availability Zone"
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True)
class BlastRadius:
    """What a scenario touches here and now, what users may notice, and an estimate of its cost in USD."""

    targets: tuple[Target, ...]
    users: str
    usd: float


def start_nothing(procedure: str, parameters: Mapping[str, Any]) -> None:
    """What who sweeps up can do about it: say what to run.

    Raises:
        PreconditionFailed: always. Nothing was changed.
    """
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in parameters.items())
    raise PreconditionFailed(
        f"only {procedure} mends it, and nothing here can start that. Run: python -m"
        f" flows.{procedure.replace('-', '_')} {options}"
    )


@dataclass
class Situation:
    """One drill on its way, the same for the run that began it and for one that ends it after a kill.

    `name` is the drill's own: for the names and tags of what it makes. `remember` is durable before it returns: what an
    undo needs after a kill; no secrets. `lease` is the drill's hold on the environment, none before it begins. `start`
    carries out a procedure, for what takes one to be undone.
    """

    environment: Environment
    targets: tuple[Target, ...]
    name: str
    memory: dict[str, Any]
    remember: Callable[[str, Any], None] = field(repr=False)
    lease: Lease | None = None
    start: Callable[[str, Mapping[str, Any]], None] = field(default=start_nothing, repr=False)


Look = Callable[[Situation], list[str]]  # reasons why it is not so; none means that it is
Change = Callable[[Situation], None]  # called by the flow, built of actions; idempotent, wherever it was interrupted


@dataclass(frozen=True)
class Step:
    """`undo` also holds when `do` was never begun, half done, or already recovered from."""

    name: str
    do: Change
    undo: Change


@dataclass(frozen=True)
class Recovery:
    """The procedure that mends it, as a person on call would start it: a flow's name and its parameters.

    `must_end`: "failed" where the procedure is to notice what is wrong, take its change back and end red.
    """

    procedure: str
    parameters: Callable[[Situation], Mapping[str, Any]] = lambda _: {}
    must_end: Literal["completed", "failed"] = "completed"


@dataclass(frozen=True)
class Abort:
    """When a drill gives up by itself, besides the kill switch and the operator.

    `expected_alarms`: how the names of those critical alarms end that the fault may raise; any other one aborts.
    `after_seconds`: how long it waits for the fault to show, and for the recovery, each.
    """

    expected_alarms: tuple[str, ...] = ()
    after_seconds: float = 1800

    def __str__(self) -> str:
        alarms = f" but {', '.join(self.expected_alarms)}" if self.expected_alarms else ""
        return f"a critical alarm{alarms} fires, or it takes longer than {self.after_seconds:.0f} s"


@dataclass(frozen=True)
class Scenario:
    """`recovery` is None where the environment must heal by itself. Targets in seconds: RTO from the break on."""

    name: str
    question: str
    resolve: Callable[[Environment], BlastRadius]
    steady: Look
    method: tuple[Step, ...]
    is_broken: Look  # reasons why the fault has not taken effect: a drill in which nothing broke proves nothing
    recovery: Recovery | None
    is_recovered: Look
    rto_seconds: float
    rpo_seconds: float | None = None
    lost_seconds: Callable[[Situation], float] | None = None  # how much data was lost; asked once it has recovered
    abort: Abort = Abort()


@dataclass(frozen=True)
class DrillPlan:
    """What was shown and approved: which things are broken, and how that ends."""

    environment: str
    scenario: str
    radius: BlastRadius
    steps: tuple[str, ...]
    recovery: str
    abort: str

    @property
    def hash(self) -> str:
        """Two plans with the same hash break the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def lines(self) -> list[str]:
        return [
            f"blast radius: {', '.join(map(str, self.radius.targets))} in {self.environment}",
            f"users: {self.radius.users}",
            f"cost: estimated {self.radius.usd:.2f} USD",
            f"break: {', then '.join(self.steps)}; each is taken back at the end",
            f"recovery: {self.recovery}",
            f"abort: {self.abort}, or by the kill switch, or when the run is cancelled",
        ]

    def __str__(self) -> str:
        return f"{self.scenario} in {self.environment}: " + "; ".join(self.lines())


def plan_drill(scenario: Scenario, environment: str, radius: BlastRadius) -> DrillPlan:
    recovery = scenario.recovery.procedure if scenario.recovery else "none, it must heal by itself"
    steps = tuple(step.name for step in scenario.method)
    return DrillPlan(environment, scenario.name, radius, steps, recovery, str(scenario.abort))
