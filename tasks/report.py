"""The one page that each run leaves: what was asked, found, done and verified, and how long each phase took."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import MissingContextError

from tasks.errors import NotApproved


@dataclass
class Phase:
    name: str
    seconds: float = 0.0
    outcome: str = "ended"
    lines: list[str] = field(default_factory=list)


@dataclass
class Report:
    procedure: str
    asked: Mapping[str, Any]
    phases: list[Phase] = field(default_factory=list)
    outcome: str = "completed"

    @property
    def key(self) -> str:
        """Same key, same history: one page per procedure and environment, a version per run."""
        words = [self.procedure, str(self.asked.get("environment", ""))]
        return "-".join(word.replace("_", "-").lower() for word in words if word)

    def markdown(self) -> str:
        asked = "\n".join(f"| {name} | `{value}` |" for name, value in self.asked.items())
        times = "\n".join(f"| {p.name} | {p.outcome} | {p.seconds:.1f} s |" for p in self.phases)
        found = "\n\n".join(f"### {p.name}\n\n" + _blocks(p.lines) for p in self.phases if p.lines)
        return (
            f"# {self.procedure.replace('_', ' ')}: {self.outcome}\n\n"
            f"| asked | value |\n|---|---|\n{asked}\n\n"
            f"| phase | outcome | took |\n|---|---|---|\n{times}\n\n{found}\n"
        )


_current: ContextVar[Report | None] = ContextVar("report", default=None)


@contextmanager
def of_run(procedure: str, asked: Mapping[str, Any]) -> Iterator[Report]:
    """Publish the report when the run ends, green or red. A suspended run has not ended and publishes nothing."""
    report = Report(procedure, asked)
    token = _current.set(report)
    try:
        yield report
    except Exception as error:
        report.outcome = f"failed - {error}"
        _publish(report)
        raise
    else:
        _publish(report)
    finally:
        _current.reset(token)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """One visible phase of a procedure: named in the log and timed in the report."""
    report = _current.get()
    current = Phase(name)
    if report:
        report.phases.append(current)
    say(f"{name} ...", note=False)
    began = time.monotonic()
    try:
        yield
    except NotApproved:
        current.outcome = "not approved"
        raise
    except Exception:
        current.outcome = "failed"
        raise
    finally:
        current.seconds = time.monotonic() - began


def say(line: str, *, note: bool = True) -> None:
    """Tell the person who watches, now; and, unless it is only progress, the one who reads the report later."""
    try:
        get_run_logger().info(line)
    except MissingContextError:
        print(line, flush=True)  # noqa: T201 - a task body called outside a run has no other voice
    report = _current.get()
    if note and report and report.phases:
        report.phases[-1].lines.append(line if line.startswith("|") else f"* {line}")


def show(markdown: str) -> None:
    """What only a report can show, such as a picture."""
    report = _current.get()
    if report and report.phases:
        report.phases[-1].lines.append(markdown)


def _blocks(lines: Sequence[str]) -> str:
    """Markdown takes the first row of a table for the end of the list before it unless a line is between them."""
    apart = [f"\n{line}" if line[0] != before[0] else line for before, line in pairwise(["*", *lines])]
    return "\n".join(apart)


def _publish(report: Report) -> None:
    create_markdown_artifact(key=report.key, markdown=report.markdown(), description=report.outcome)
