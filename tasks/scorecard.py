"""What a drill has shown: how long each phase took, what was lost, what users met, how it was before, what is next."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from tasks.drill import Scenario
from tasks.drill_journal import Journal, Mark

# What ends with each mark; the first is the break itself.
PHASES = {"detected": "detect", "decided": "decide", "restored": "recover", "verified": "verify"}
BROKEN = "broken"
SHOWN = 12
BAR, GAP, HEIGHT, TOP = 34, 10, 120, 24  # pixels


def phase_milliseconds(marks: Sequence[Mark]) -> dict[str, int]:
    """How long each phase took. They add up exactly: each is the difference of two rounded distances from the break.

    Two marks of one boot of one machine are as far apart as its monotonic clock says, also when a kill is between them.
    Where a run was resumed on another machine, or after a reboot, only the wall clock can say it.
    """
    distance, distances = 0, [0]
    for before, after in pairwise(marks):
        distance += _nanoseconds_between(before, after)
        distances.append(distance // 1_000_000)
    names = [PHASES[mark.name] for mark in marks[1:]]
    return dict(zip(names, (after - before for before, after in pairwise(distances)), strict=True))


def rto_seconds(journal: Journal) -> float | None:
    """From the break to the proof, or None when it did not come to that."""
    return sum(phase_milliseconds(journal.marks).values()) / 1000 if journal.has("verified") else None


def find_misses(scenario: Scenario, journal: Journal) -> list[str]:
    """Which targets were missed, as reasons."""
    rto, lost = rto_seconds(journal), journal.lost_seconds
    misses = []
    if rto is not None and rto > scenario.rto_seconds:
        misses.append(f"recovered {rto:.3f} s after the break, expected {scenario.rto_seconds:.0f} s at most (RTO)")
    if scenario.rpo_seconds is not None and lost is not None and lost > scenario.rpo_seconds:
        misses.append(f"{lost:.3f} s of data were lost, expected {scenario.rpo_seconds:.0f} s at most (RPO)")
    return misses


def find_gaps(scenario: Scenario, journal: Journal, raised: Sequence[str]) -> list[str]:
    """What the drill has shown to be missing, although it recovered."""
    gaps = []
    if scenario.abort.expected_alarms and not raised:
        gaps.append(f"no alarm {' or '.join(scenario.abort.expected_alarms)} told of it: nobody would have been called")
    if len({mark.boot for mark in journal.marks}) > 1:
        gaps.append("it was resumed on another machine or after a reboot: the wall clock measured it, not a steady one")
    if scenario.rpo_seconds is not None and journal.lost_seconds is None:
        gaps.append("how much data was lost was not measured")
    if not journal.traffic.sent:
        gaps.append("what users met was not measured")
    return gaps


def broken_at(journal: Journal) -> datetime:
    (broken,) = (mark for mark in journal.marks if mark.name == BROKEN)
    return datetime.fromtimestamp(broken.wall_ns / 1e9, UTC)


def oldest_proof(names: Iterable[str], past: Sequence[Journal]) -> str:
    """The scenario with the oldest proof; before it, one that was never proven."""
    proven = _proven(past)
    return min(names, key=lambda one: proven.get(one, ""))


def next_drill(names: Iterable[str], past: Sequence[Journal]) -> str:
    """The same for people, with when that was."""
    name, proven = oldest_proof(names, past), _proven(past)
    return f"{name}, {f'last proven {proven[name]:.16}' if name in proven else 'never proven'}"


def _proven(past: Sequence[Journal]) -> dict[str, str]:
    return {one.scenario: one.ended_at for one in past if one.outcome == "proven"}


def page(scenario: Scenario, journal: Journal, names: Iterable[str], past: Sequence[Journal]) -> Iterator[str]:
    """What a person looks at, as lines of Markdown."""
    yield f"{scenario.question} {'Yes.' if journal.outcome == 'proven' else 'Not proven.'}"
    yield "| phase | took |"
    yield "|---|---|"
    for name, milliseconds in phase_milliseconds(journal.marks).items():
        yield f"| {name} | {milliseconds / 1000:.3f} s |"
    rto = rto_seconds(journal)
    yield f"| RTO, target {scenario.rto_seconds:.0f} s | {'not recovered' if rto is None else f'{rto:.3f} s'} |"
    if scenario.rpo_seconds is not None:
        lost = journal.lost_seconds
        yield f"| RPO, target {scenario.rpo_seconds:.0f} s | {'not measured' if lost is None else f'{lost:.3f} s'} |"
    yield str(journal.traffic)
    yield from (f"failed: {one}" for one in journal.failures)
    yield from (f"gap: {one}" for one in journal.gaps)
    yield f"next drill: {next_drill(names, past)}"


def trend(scenario: Scenario, past: Sequence[Journal]) -> str:
    """The last drills of this scenario as an SVG: a bar per RTO, red where not proven, and the target as a line."""
    mine = [one for one in past if one.scenario == scenario.name and one.outcome != "unfinished"][-SHOWN:]
    seconds = [rto_seconds(one) for one in mine]
    highest = max([scenario.rto_seconds, *(one for one in seconds if one is not None)])
    width = GAP + max(len(mine), 4) * (BAR + GAP)
    target = TOP + HEIGHT * (1 - scenario.rto_seconds / highest)
    bars = "".join(_bar(at, one, took, highest) for at, (one, took) in enumerate(zip(mine, seconds, strict=True)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{TOP + HEIGHT + 20}"'
        f' font-family="sans-serif" font-size="10"><title>RTO of {scenario.name}</title>{bars}'
        f'<line x1="0" x2="{width}" y1="{target:.1f}" y2="{target:.1f}" stroke="#555" stroke-dasharray="4"/>'
        f'<text x="2" y="{target - 3:.1f}">target {scenario.rto_seconds:.0f} s</text></svg>'
    )


def as_image(svg: str, title: str) -> str:
    """A picture inside a page of Markdown, without a file or a host to fetch it from."""
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _bar(at: int, journal: Journal, seconds: float | None, highest: float) -> str:
    left, height = GAP + at * (BAR + GAP), HEIGHT * (seconds if seconds is not None else highest) / highest
    colour = "#2a7" if journal.outcome == "proven" else "#c33"
    label = "-" if seconds is None else f"{seconds:.0f} s"
    return (
        f'<rect x="{left}" y="{TOP + HEIGHT - height:.1f}" width="{BAR}" height="{height:.1f}" fill="{colour}"/>'
        f'<text x="{left}" y="{TOP + HEIGHT - height - 3:.1f}">{label}</text>'
        f'<text x="{left}" y="{TOP + HEIGHT + 14}">{journal.began_at[5:10]}</text>'
    )


def _nanoseconds_between(before: Mark, after: Mark) -> int:
    if before.boot == after.boot:
        return after.monotonic_ns - before.monotonic_ns
    return max(0, after.wall_ns - before.wall_ns)
