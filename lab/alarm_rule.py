"""The rules of composite alarms: ALARM("name or ARN"), OK(...), INSUFFICIENT_DATA(...), TRUE, FALSE, AND, OR, NOT."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
TOKEN = re.compile(
    rf'\s*(?:(?P<state>{"|".join(STATES)})\s*\(\s*(?:"(?P<quoted>[^"]+)"|(?P<bare>[^\s()"]+))\s*\)'
    r"|(?P<word>\bAND\b|\bOR\b|\bNOT\b|\bTRUE\b|\bFALSE\b|\(|\)))"
)
LONGEST = 10_240

# The state of the alarm of this name or ARN.
StateOf = Callable[[str], str]


class BadRule(ValueError):
    """Why this is no alarm rule."""


@dataclass(frozen=True)
class Rule:
    holds: Callable[[StateOf], bool]
    names: tuple[str, ...]


@cache
def parse(text: str) -> Rule:
    if len(text) > LONGEST:
        raise BadRule(f"it has {len(text)} characters, expected at most {LONGEST}")
    rule, rest = _either(_tokens(text))
    if rest:
        raise BadRule(f"'{_told(rest[0])}' was not expected there")
    return rule


Token = tuple[str, str]  # what it is, and of which alarm


def _tokens(text: str) -> list[Token]:
    return list(_scan(text.strip()))


def _scan(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None:
            raise BadRule(f"'{text[position : position + 40]}' is no part of an alarm rule")
        yield found["state"] or found["word"], found["quoted"] or found["bare"] or ""
        position = found.end()


def _told(token: Token) -> str:
    return f"{token[0]}({token[1]})" if token[0] in STATES else token[0]


def _either(tokens: list[Token]) -> tuple[Rule, list[Token]]:
    """AND binds closer than OR, as in every language; AWS's guide asks for parentheses where both stand."""
    return _chain(tokens, "OR", any, lambda rest: _chain(rest, "AND", all, _one))


def _chain(
    tokens: list[Token], word: str, join: Callable[[Any], bool], part: Callable[[list[Token]], tuple[Rule, list[Token]]]
) -> tuple[Rule, list[Token]]:
    first, rest = part(tokens)
    parts = [first]
    while rest and rest[0][0] == word:
        another, rest = part(rest[1:])
        parts.append(another)
    if len(parts) == 1:
        return first, rest
    names = tuple(name for one in parts for name in one.names)
    return Rule(lambda state_of: join(one.holds(state_of) for one in parts), names), rest


def _one(tokens: list[Token]) -> tuple[Rule, list[Token]]:
    if not tokens:
        raise BadRule("it ends where a condition was expected")
    (word, name), rest = tokens[0], tokens[1:]
    match word:
        case "TRUE" | "FALSE":
            return Rule(lambda _: word == "TRUE", ()), rest
        case "NOT":
            inner, rest = _one(rest)
            return Rule(lambda state_of: not inner.holds(state_of), inner.names), rest
        case "(":
            inner, rest = _either(rest)
            if not rest or rest[0][0] != ")":
                raise BadRule("a parenthesis is not closed")
            return inner, rest[1:]
        case "AND" | "OR" | ")":
            raise BadRule(f"'{word}' stands where a condition was expected")
    return Rule(lambda state_of: state_of(name) == word, (name,)), rest
