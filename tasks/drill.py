"""A drill as data: what must hold, what is broken and how each step is taken back, how it recovers, what proves it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.environment import Environment


@dataclass(frozen=True)
class Target:
    kind: str  # as AWS calls it: "EC2 instance", "RDS instance", "Availability Zone"
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True)
class BlastRadius:
    """What a scenario touches here and now, what users may notice, and what it costs in USD."""

    targets: tuple[Target, ...]
    users: str
    usd: float


@dataclass
class Situation:
    """One drill on its way. `remember` is durable before it returns: what an undo needs after a kill."""

    environment: Environment
    targets: tuple[Target, ...]
    memory: dict[str, Any]
    remember: Callable[[str, Any], None] = field(repr=False)


Look = Callable[[Situation], list[str]]  # reasons why it is not so; none means that it is
Change = Callable[[Situation], None]  # idempotent, also when it is interrupted anywhere


@dataclass(frozen=True)
class Step:
    """`undo` also holds when `do` was never begun, half done, or already recovered from."""

    name: str
    do: Change
    undo: Change


@dataclass(frozen=True)
class Recovery:
    """The procedure that mends it, as a person on call would start it: a flow's name and its parameters."""

    procedure: str
    parameters: Callable[[Situation], Mapping[str, Any]] = lambda _: {}


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
    needs: tuple[str, ...] = ()  # parameters that it can't do without
