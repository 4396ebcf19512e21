"""What becomes of each thing that a sweep finds: decided from plain values, shown, and then done exactly so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tasks.errors import VerificationFailed
from tasks.flow_runs import RunState
from tasks.residue import Residue


@dataclass(frozen=True)
class Decision:
    """`refuse` is for what ought to go and must not be touched: a person has to look."""

    thing: Residue
    verdict: Literal["remove", "leave", "refuse"]
    because: str


@dataclass(frozen=True)
class SweepPlan:
    decisions: tuple[Decision, ...]

    @property
    def removable(self) -> tuple[Residue, ...]:
        return tuple(one.thing for one in self.decisions if one.verdict == "remove")

    @property
    def due(self) -> tuple[Decision, ...]:
        """What must be gone after a sweep."""
        return tuple(one for one in self.decisions if one.verdict != "leave")

    @property
    def left_alone(self) -> int:
        return len(self.decisions) - len(self.due)

    def __str__(self) -> str:
        return f"residue: {len(self.due)}, left alone: {self.left_alone}"

    def table(self) -> list[str]:
        if not self.decisions:
            return []
        heads = ["| thing | id | flow | run | expires | verdict | because |", "|---" * 7 + "|"]
        return heads + [
            f"| {t.kind} | {t.id} | {t.flow} | {t.run_id} | {t.expires_at:%Y-%m-%d %H:%M} UTC | {one.verdict}"
            f" | {one.because} |"
            for one in self.decisions
            for t in (one.thing,)
        ]

    def require_gone(self, found: Iterable[Residue]) -> None:
        """
        Raises:
            VerificationFailed: something that was due is still found, by name, with what to do.
        """
        names = {(one.kind, one.id) for one in found}
        if stays := [one for one in self.due if (one.thing.kind, one.thing.id) in names]:
            reasons = "; ".join(f"{one.thing} stays: {one.because}{_advice(one)}" for one in stays)
            raise VerificationFailed(f"residue: {len(stays)}, expected 0. {reasons}")


def plan_sweep(
    found: Sequence[Residue], runs: Mapping[str, RunState], now: datetime, *, include_unexpired: bool = False
) -> SweepPlan:
    """
    Args:
        runs: the state of each run that is known.
        include_unexpired: also what a run left that is not known, although it may still exist for a while.
    """
    return SweepPlan(tuple(_decide(one, runs.get(one.run_id), now, include_unexpired) for one in found))


def _decide(one: Residue, run: RunState | None, now: datetime, include_unexpired: bool) -> Decision:
    reasons = list(_reasons_to_go(one, run, now, include_unexpired))
    if not reasons:
        return Decision(one, "leave", _reason_to_stay(one, run))
    if one.guard:
        return Decision(one, "refuse", one.guard)
    return Decision(one, "remove", ", ".join(reasons))


def _reasons_to_go(one: Residue, run: RunState | None, now: datetime, include_unexpired: bool) -> Iterable[str]:
    if one.expires_at <= now:
        yield "expired"
    elif one.is_kept:
        return
    elif run and not run.is_alive:
        yield f"its run ended {run.name}"
    elif run is None and include_unexpired:
        yield "its run is unknown"


def _reason_to_stay(one: Residue, run: RunState | None) -> str:
    if one.is_kept:
        return f"a {one.kind} that is kept until it expires"
    if run:
        return f"its run is {run.name}"
    return "its run is unknown to this Prefect server; it goes when it expires, or now with --include-unexpired"


def _advice(one: Decision) -> str:
    return "" if one.verdict == "refuse" else ". What AWS answered stands in this report's phase apply"
