"""CloudWatch Logs' filter patterns: terms, "phrases", -exclusions, ?options, %regex% and { JSON selectors }."""

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

Document = Any
Condition = Callable[[Document], bool]
MISSING = object()

TERM = re.compile(r"""\s*(?P<sign>[-?]?)(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|%(?P<regex>[^%]+)%|(?P<word>[^\s"]+))""")
WORD = re.compile(r"\w+")
TOKEN = re.compile(
    r"""\s*(?:(?P<selector>\$(?:\.(?:[\w@-]+|\['[^']+'\])|\[\d+\])+)
    |(?P<operator>&&|\|\||!=|<=|>=|=|<|>|\(|\))
    |"(?P<string>(?:[^"\\]|\\.)*)"
    |%(?P<regex>[^%]+)%
    |(?P<bare>[\w.*:/@+-]+))""",
    re.VERBOSE,
)
STEP = re.compile(r"\.([\w@-]+)|\.\['([^']+)'\]|\[(\d+)\]")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
ORDERINGS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class BadPattern(ValueError):
    """CloudWatch Logs would refuse this pattern."""


@dataclass(frozen=True)
class LogPattern:
    matches: Callable[[str], bool]


@lru_cache(maxsize=256)
def compile_pattern(text: str | None) -> LogPattern:
    """What a log message must be like. An empty pattern matches every message."""
    text = (text or "").strip()
    if text.startswith("["):
        raise BadPattern("this lab has no space-delimited filter patterns")
    if text.startswith("{"):
        if not text.endswith("}"):
            raise BadPattern("Invalid filter pattern")
        condition = _Parser(text[1:-1]).parse()
        return LogPattern(lambda message: _matches_document(condition, message))
    return LogPattern(_compile_terms(text))


def _matches_document(condition: Condition, message: str) -> bool:
    document = parse_document(message)
    return document is not MISSING and condition(document)


def parse_document(message: str) -> Document:
    """The message as JSON object or array, or MISSING."""
    if not message.lstrip().startswith(("{", "[")):
        return MISSING
    try:
        return json.loads(message)
    except ValueError:
        return MISSING


def select(document: Document, selector: str) -> Any:
    """The value at `$.a.b[0]`, or MISSING."""
    for name, quoted, index in STEP.findall(selector):
        try:
            document = document[int(index)] if index else document[name or quoted]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return document


def _compile_terms(text: str) -> Callable[[str], bool]:
    required: list[Callable[[str], bool]] = []
    excluded: list[Callable[[str], bool]] = []
    optional: list[Callable[[str], bool]] = []
    position = 0
    while position < len(text):
        found = TERM.match(text, position)
        if not found:
            raise BadPattern("Invalid filter pattern")
        {"": required, "-": excluded, "?": optional}[found["sign"]].append(_term(found))
        position = found.end()
    # AWS ignores the optional terms as soon as there are others.
    any_of = [] if required or excluded else optional

    def matches(message: str) -> bool:
        return (
            all(term(message) for term in required)
            and not any(term(message) for term in excluded)
            and (not any_of or any(term(message) for term in any_of))
        )

    return matches


def _term(found: "re.Match[str]") -> Callable[[str], bool]:
    if found["regex"]:
        wanted = _regex(found["regex"])
        return lambda message: bool(wanted.search(message))
    if found["phrase"] is not None:
        phrase = _unescape(found["phrase"])
        return lambda message: phrase in message
    word = found["word"]
    if not WORD.fullmatch(word):
        raise BadPattern(f"Invalid character(s) in term '{word}'")
    return lambda message: word in message


def _regex(text: str) -> "re.Pattern[str]":
    if "(" in text or ")" in text:
        raise BadPattern(f"Invalid regular expression '{text}': parentheses are not supported")
    try:
        return re.compile(text)
    except re.error as error:
        raise BadPattern(f"Invalid regular expression '{text}': {error}") from error


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


class _Parser:
    """or := and ("||" and)*; and := one ("&&" one)*; one := "(" or ")" | selector comparison."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position, text = 0, text.strip()
        while position < len(text):
            found = TOKEN.match(text, position)
            if not found:
                raise BadPattern("Invalid filter pattern")
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind]))
            position = found.end()

    def parse(self) -> Condition:
        condition = self._any()
        if self._tokens:
            raise BadPattern("Invalid filter pattern")
        return condition

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._take("||"):
            parts.append(self._all())
        return lambda document: any(part(document) for part in parts)

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._take("&&"):
            parts.append(self._one())
        return lambda document: all(part(document) for part in parts)

    def _one(self) -> Condition:
        if self._take("("):
            condition = self._any()
            if not self._take(")"):
                raise BadPattern("Invalid filter pattern")
            return condition
        kind, selector = self._next()
        if kind != "selector":
            raise BadPattern("Invalid filter pattern")
        test = self._test()
        return lambda document: test(select(document, selector))

    def _test(self) -> Callable[[Any], bool]:
        kind, word = self._next()
        if kind == "bare":
            return self._word_test(word.upper(), self._next()[1].upper())
        if kind != "operator":
            raise BadPattern("Invalid filter pattern")
        literal_kind, literal = self._next()
        if word in ORDERINGS:
            return _ordering(ORDERINGS[word], literal_kind, literal)
        equal = _equality(literal_kind, literal)
        if word == "=":
            return equal
        if word == "!=":
            return lambda value: value is not MISSING and not equal(value)
        raise BadPattern("Invalid filter pattern")

    def _word_test(self, first: str, second: str) -> Callable[[Any], bool]:
        match first, second:
            case "IS", "TRUE" | "FALSE" | "NULL":
                wanted = {"TRUE": True, "FALSE": False, "NULL": None}[second]
                return lambda value: value is wanted
            case "NOT", "EXISTS":
                return lambda value: value is MISSING
        raise BadPattern("Invalid filter pattern")

    def _take(self, wanted: str) -> bool:
        if self._tokens and self._tokens[0] == ("operator", wanted):
            self._tokens.pop(0)
            return True
        return False

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise BadPattern("Invalid filter pattern")
        return self._tokens.pop(0)


def _ordering(compare: Callable[[float, float], bool], kind: str, literal: str) -> Callable[[Any], bool]:
    if kind != "bare" or not NUMBER.fullmatch(literal):
        raise BadPattern("Invalid filter pattern")
    limit = float(literal)
    return lambda value: is_number(value) and compare(value, limit)


def _equality(kind: str, literal: str) -> Callable[[Any], bool]:
    if kind == "regex":
        wanted = _regex(literal)
        return lambda value: isinstance(value, str) and bool(wanted.search(value))
    if kind == "bare" and NUMBER.fullmatch(literal):
        number = float(literal)
        return lambda value: value == literal or (is_number(value) and value == number)
    if kind not in ("bare", "string"):
        raise BadPattern("Invalid filter pattern")
    shape = re.sub(r"([\[?])", r"[\1]", _unescape(literal))  # of fnmatch's signs only * is AWS's
    return lambda value: (
        (isinstance(value, str) or (kind == "bare" and is_number(value))) and fnmatchcase(str(value), shape)
    )


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
