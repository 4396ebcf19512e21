"""The words and signs of a Logs Insights query, read from left to right."""

import re

TOKEN = re.compile(
    r"""\s*(?:(?P<comment>\#[^\n]*)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<quoted>`[^`]+`)
    |(?P<duration>\d+(?:ms|s|m|h|d|w)\b)
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>@?[A-Za-z_][\w.@]*)
    |(?P<sign>!=|<=|>=|=~|[=<>()\[\],+\-*%^|])
    |(?P<slash>/))""",
    re.VERBOSE,
)
REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/(i?)")
RESERVED = {"as", "by", "and", "or", "not", "like", "in", "asc", "desc"}


class BadQuery(ValueError):
    """Logs Insights would refuse this query."""


class Tokens:
    """The query's tokens from left to right. A slash begins a regular expression only where one may stand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def peek(self) -> tuple[str, str]:
        found = self._match()
        return (str(found.lastgroup), found[str(found.lastgroup)]) if found else ("end", "")

    def next(self) -> tuple[str, str]:
        token = self.peek()
        if found := self._match():
            self.position = found.end()
        return token

    def take(self, *wanted: str) -> str | None:
        """Step over one of these words or signs."""
        kind, text = self.peek()
        if kind in ("name", "sign", "slash") and text.lower() in wanted:
            self.next()
            return text.lower()
        return None

    def expect(self, wanted: str) -> None:
        if not self.take(wanted):
            raise self.unexpected()

    def alias(self) -> str | None:
        """The name after `as`, when there is one."""
        if not self.take("as"):
            return None
        kind, text = self.peek()
        if kind not in ("name", "quoted"):
            raise self.unexpected()
        self.next()
        return text.strip("`")

    def regex(self) -> "re.Pattern[str] | None":
        found = REGEX.match(self.text, self._start())
        if not found:
            return None
        self.position = found.end()
        return compile_regex(found[1], found[2])

    def since(self, start: int) -> str:
        """What was written from `start` on: the name of a column that has no other."""
        return " ".join(self.text[start : self.position].split())

    def unexpected(self) -> BadQuery:
        start = self._start()
        line, column = self.text.count("\n", 0, start) + 1, start - (self.text.rfind("\n", 0, start) + 1) + 1
        symbol = self.peek()[1] or self.text[start : start + 1] or "end of query"
        return BadQuery(f"unexpected symbol found {symbol} at line {line} and position {column}")

    def _match(self) -> "re.Match[str] | None":
        found = TOKEN.match(self.text, self.position)
        while found and found.lastgroup == "comment":
            self.position = found.end()
            found = TOKEN.match(self.text, self.position)
        if not found and self.text[self.position :].strip():
            self.position = self._start()
            raise BadQuery(f"unexpected symbol found {self.text[self.position]} at position {self.position + 1}")
        return found

    def _start(self) -> int:
        return self.position + len(self.text[self.position :]) - len(self.text[self.position :].lstrip())


def compile_regex(text: str, flags: str = "") -> "re.Pattern[str]":
    try:
        return re.compile(
            text.replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!"), re.IGNORECASE if flags else 0
        )
    except re.error as error:
        raise BadQuery(f"invalid regular expression /{text}/: {error}") from error


def unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
