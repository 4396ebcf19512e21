"""What a rule is, what it finds, and the runbook that it looks at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from docs.runbook.markdown import Command, Line, list_commands, read


@dataclass(frozen=True)
class Finding:
    defect: str  # the D id of the rule
    line: int
    text: str
    instead: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.defect} {self.text}. Instead: {self.instead}"


class Runbook:
    """One Markdown file."""

    def __init__(self, text: str) -> None:
        self.lines = read(text)

    @cached_property
    def commands(self) -> list[Command]:
        return list_commands(self.lines)

    def calls(self, name: str) -> Iterator[Command]:
        return (command for command in self.commands if command.name == name)

    def matching(self, *words: str) -> Iterator[Line]:
        return (line for line in self.lines if all(word.lower() in line.text.lower() for word in words))

    def before(self, line: Line) -> list[Line]:
        """The lines above it in its code block."""
        return [one for one in self.lines if line.block and one.block == line.block and one.number < line.number]


Seen = tuple[Line, str]  # where, and what was seen
Look = Callable[[Runbook], Iterator[Seen]]


@dataclass(frozen=True)
class Rule:
    defect: str
    instead: str
    look: Look

    def check(self, runbook: Runbook) -> Iterator[Finding]:
        return (Finding(self.defect, line.number, text, self.instead) for line, text in self.look(runbook))


RULES: list[Rule] = []


def rule(defect: str, instead: str) -> Callable[[Look], Look]:
    """Enter a look into the list of rules."""

    def enter(look: Look) -> Look:
        RULES.append(Rule(defect, instead, look))
        return look

    return enter
