"""Expressions of the Logs Insights language: fields, literals, arithmetic, comparisons and functions over one row."""

import operator
from collections.abc import Callable
from typing import Any

from lab.insights_tokens import RESERVED, BadQuery, Tokens, unquote
from lab.insights_values import FUNCTIONS, compare, milliseconds, number_of, text_of

Row = dict[str, Any]
Expression = Callable[[Row], Any]


def field_of(row: Row, name: str) -> Any:
    """`a.b` is a column of that name, or b inside of the JSON object a; `a.0` is the first of the JSON array a."""
    if name in row:
        return row[name]
    head, dot, rest = name.partition(".")
    inner = row.get(head)
    if isinstance(inner, list):
        inner = {str(number): value for number, value in enumerate(inner)}
    return field_of(inner, rest) if dot and isinstance(inner, dict) else None


def parse_expression(tokens: Tokens) -> Expression:
    left = _all(tokens)
    while tokens.take("or"):
        left = _either(left, _all(tokens))
    return left


def _either(left: Expression, right: Expression) -> Expression:
    return lambda row: bool(left(row)) or bool(right(row))


def _all(tokens: Tokens) -> Expression:
    left = _not(tokens)
    while tokens.take("and"):
        left = _both(left, _not(tokens))
    return left


def _both(left: Expression, right: Expression) -> Expression:
    return lambda row: bool(left(row)) and bool(right(row))


def _not(tokens: Tokens) -> Expression:
    if tokens.take("not"):
        inner = _not(tokens)
        return lambda row: not inner(row)
    return _comparison(tokens)


def _comparison(tokens: Tokens) -> Expression:
    left = _sum(tokens)
    sign = tokens.take("=", "!=", "<", "<=", ">", ">=", "=~", "like", "in", "not")
    if sign is None:
        return left
    wanted = sign != "not"
    if not wanted:
        sign = tokens.take("like", "in")
    if sign in ("like", "=~"):
        found = _pattern(tokens)
        return lambda row: found(left(row)) is wanted
    if sign == "in":
        members = _list(tokens)
        return lambda row: any(compare("=", left(row), member(row)) for member in members) is wanted
    if sign is None:
        raise tokens.unexpected()
    right = _sum(tokens)
    return lambda row: compare(sign, left(row), right(row))


def _pattern(tokens: Tokens) -> Callable[[Any], bool]:
    if regex := tokens.regex():
        return lambda value: value is not None and bool(regex.search(text_of(value)))
    kind, text = tokens.next()
    if kind != "string":
        raise tokens.unexpected()
    part = unquote(text)
    return lambda value: value is not None and part in text_of(value)


def _list(tokens: Tokens) -> list[Expression]:
    tokens.expect("[")
    members = [_sum(tokens)]
    while tokens.take(","):
        members.append(_sum(tokens))
    tokens.expect("]")
    return members


def _sum(tokens: Tokens) -> Expression:
    left = _product(tokens)
    while sign := tokens.take("+", "-"):
        left = _arithmetic(operator.add if sign == "+" else operator.sub, left, _product(tokens))
    return left


def _product(tokens: Tokens) -> Expression:
    left = parse_operand(tokens)
    while sign := tokens.take("*", "/", "%", "^"):
        left = _arithmetic(ARITHMETIC[sign], left, parse_operand(tokens))
    return left


CONSTANTS: dict[str, Callable[[str], Any]] = {"string": unquote, "number": float, "duration": milliseconds}
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
    "^": operator.pow,
}


def _arithmetic(compute: Callable[[float, float], float], left: Expression, right: Expression) -> Expression:
    def value(row: Row) -> float | None:
        a, b = number_of(left(row)), number_of(right(row))
        try:
            return None if a is None or b is None else compute(a, b)
        except (ZeroDivisionError, OverflowError):
            return None

    return value


def parse_operand(tokens: Tokens) -> Expression:
    kind, text = tokens.peek()
    if tokens.take("("):
        inner = parse_expression(tokens)
        tokens.expect(")")
        return inner
    if tokens.take("-"):
        return _arithmetic(operator.mul, lambda _: -1, parse_operand(tokens))
    if kind not in ("string", "quoted", "duration", "number", "name") or text.lower() in RESERVED:
        raise tokens.unexpected()
    tokens.next()
    if kind == "name" and tokens.take("("):
        return _call(tokens, text.lower())
    if kind in CONSTANTS:
        value = CONSTANTS[kind](text)
        return lambda _: value
    name = text.strip("`")
    return lambda row: field_of(row, name)


def _call(tokens: Tokens, name: str) -> Expression:
    if name not in FUNCTIONS:
        raise BadQuery(f"unknown function '{name}'")
    arguments: list[Expression] = []
    while not tokens.take(")"):
        if arguments:
            tokens.expect(",")
        arguments.append(parse_expression(tokens))
    if name == "bin":
        arguments = [lambda row: row.get("@timestamp"), *arguments]
    function = FUNCTIONS[name]

    def value(row: Row) -> Any:
        try:
            return function(*(argument(row) for argument in arguments))
        except (TypeError, ValueError, AttributeError):
            return None

    return value
