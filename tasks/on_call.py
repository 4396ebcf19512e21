"""Who is on call, and who is told next: the runbook's rota and escalation path as data, read and checked here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

Priority = Literal["P0", "P1", "P2", "P3"]
Means = Literal["phone", "page", "message"]
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ROLES = ("primary", "secondary", "manager")
DATA = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Shift:
    primary: str
    secondary: str
    manager: str


@dataclass(frozen=True)
class Step:
    """One person told of an incident, at a moment counted from its beginning."""

    after: timedelta
    level: int
    who: str
    by: Means
    answer_within: timedelta
    unless: Literal["acknowledged", "resolved"] | None

    @property
    def key(self) -> str:
        """The same step, whoever is on call when its time comes."""
        return f"{self.after.total_seconds():g}s-level-{self.level}-{self.by}"

    def __str__(self) -> str:
        wait = self.answer_within // timedelta(minutes=1)
        return f"level {self.level}: {self.who} by {self.by}, answers {f'within {wait} min' if wait else 'at once'}"


@dataclass(frozen=True)
class OnCall:
    rota: tuple[Mapping[str, Any], ...]
    overrides: tuple[Mapping[str, Any], ...]
    escalation: Mapping[str, tuple[Mapping[str, Any], ...]]

    def shift(self, now: datetime) -> Shift:
        """Who is on call at a moment; days change at midnight UTC."""
        today = now.astimezone(UTC).date()
        day = DAYS[today.weekday()]
        found = [one for one in self.overrides if one["date"] == today] + [r for r in self.rota if day in r["days"]]
        return Shift(*(str(found[0][role]) for role in ROLES))

    def plan_escalation(self, priority: Priority, began: datetime) -> tuple[Step, ...]:
        """Everyone who would be told of an incident that nobody acknowledges or resolves, in order.

        A step is for whoever is on call when its time comes, not for who was when the incident began.
        """
        return tuple(self._step(one, began) for one in self.escalation[priority])

    def due(
        self, priority: Priority, began: datetime, now: datetime, *, acknowledged: bool, resolved: bool
    ) -> tuple[Step, ...]:
        """The steps whose time has come and that nothing has made unnecessary."""
        done = {"acknowledged": acknowledged or resolved, "resolved": resolved, None: False}
        return tuple(
            step
            for step in self.plan_escalation(priority, began)
            if began + step.after <= now and not done[step.unless]
        )

    def _step(self, one: Mapping[str, Any], began: datetime) -> Step:
        after = timedelta(minutes=one["after_minutes"])
        who = getattr(self.shift(began + after), one["who"]) if one["who"] in ROLES else one["who"]
        answer = timedelta(minutes=one["answer_minutes"])
        return Step(after, one["level"], who, one["by"], answer, one.get("unless"))


def read_on_call(path: Path | None = None) -> OnCall:
    """
    Raises:
        ValueError: a day without anybody, a day twice, or a priority without a path. Nobody would be told.
    """
    path = path or DATA
    data = yaml.safe_load(path.read_text())
    days = [day for one in data["rota"] for day in one["days"]]
    if sorted(days) != sorted(DAYS):
        raise ValueError(f"{path.name}: the rota has {', '.join(days)}, expected each of {', '.join(DAYS)} once")
    if missing := [name for name in get_args(Priority) if not data["escalation"].get(name)]:
        raise ValueError(f"{path.name}: no escalation for {', '.join(missing)}, expected a path for each priority")
    escalation = {name: tuple(steps) for name, steps in data["escalation"].items()}
    return OnCall(tuple(data["rota"]), tuple(data["overrides"]), escalation)
