"""A runbook's Markdown as lines that know their heading and their code block, and the AWS commands in it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"\s*```(\w*)")
HEADING = re.compile(r"#{1,6} (.*)")
INVOCATION = re.compile(r"\baws ([a-z][a-z0-9-]*) ([a-z][a-z0-9-]*)")
REMARK = re.compile(r"\s+# .*$")
ENDS = "|;)&"  # outside of quotes and of $(...), what ends a command


@dataclass(frozen=True)
class Line:
    number: int
    text: str
    headings: tuple[str, ...]  # from the title down
    block: int  # number of the code block that it is in; 0 outside of any
    language: str

    def is_under(self, word: str) -> bool:
        return any(word.lower() in heading.lower() for heading in self.headings)


@dataclass(frozen=True)
class Command:
    """One call of the AWS CLI. `options` are by name without dashes; a flag's value is ''."""

    line: Line
    service: str
    operation: str
    words: tuple[str, ...]
    options: dict[str, str]
    rest: str  # what follows it in its pipeline
    comment: str  # the comment above it

    @property
    def name(self) -> str:
        return f"{self.service} {self.operation}"


def read(text: str) -> list[Line]:
    lines, headings, block, language = [], [""] * 6, 0, ""
    blocks = 0
    for number, line in enumerate(text.splitlines(), 1):
        if fence := FENCE.match(line):
            blocks, block, language = (blocks, 0, "") if block else (blocks + 1, blocks + 1, fence[1])
            continue
        if not block and (found := HEADING.match(line)):
            level = line.index(" ")
            headings = [*headings[: level - 1], found[1], *[""] * (6 - level)]
        lines.append(Line(number, line, tuple(filter(None, headings)), block, language))
    return lines


def list_commands(lines: list[Line]) -> list[Command]:
    """Every AWS command in a shell block, also inside $(...) and quotes."""
    return [command for first, text, comment in _statements(lines) for command in _commands(first, text, comment)]


def _statements(lines: list[Line]) -> Iterator[tuple[Line, str, str]]:
    """Shell statements with their continuation lines joined, and the comment that stands above each."""
    text, comment, first = "", "", None
    for line in (one for one in lines if one.language == "bash"):
        bare = line.text.strip()
        if not text and bare.startswith("#"):
            comment = bare
            continue
        first = first if text and first else line
        text += f" {REMARK.sub('', bare).removesuffix(chr(92))}"
        if bare.endswith("\\") or text.count("'") % 2:
            continue
        if text.strip():
            yield first, text.strip(), comment
        text, comment = "", "" if not bare else comment


def _commands(line: Line, text: str, comment: str) -> Iterator[Command]:
    for found in INVOCATION.finditer(text):
        end = found.end() + _length(text[found.end() :])
        words = tuple(_words(text[found.end() : end]))
        rest = text[end:].strip()
        yield Command(line, found[1], found[2], words, dict(_options(words)), rest, comment)


def _length(text: str) -> int:
    """How far a command's own words go."""
    quote, depth = "", 0
    for position, character in enumerate(text):
        if quote or character in "'\"":
            quote = "" if character == quote else quote or character
        elif character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif character in ENDS and not depth:
            return position
    return len(text)


def _words(text: str) -> list[str]:
    """Split as a shell does; an unbalanced quote belongs to the statement around the command."""
    for attempt in (text, text + '"', text.rpartition('"')[0]):
        try:
            return shlex.split(attempt)
        except ValueError:
            continue
    return text.split()


def _options(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    name = ""
    values: list[str] = []
    for word in (*words, "--"):
        if word.startswith("--"):
            if name:
                yield name, " ".join(values)
            name, values = word.removeprefix("--"), []
        else:
            values.append(word)
