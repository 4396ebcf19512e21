"""The formulas that a parameter's value may be, such as LEAST({DBInstanceClassMemory/9531392},5000)."""

import re
from collections.abc import Callable, Mapping

TOKEN = re.compile(r"\s*(\d+|[A-Za-z]+|[-+*/(){},])")
FUNCTIONS: dict[str, Callable[[list[int]], int]] = {"LEAST": min, "GREATEST": max, "SUM": sum}
CLOSING = {"(": ")", "{": "}"}
VARIABLES = ("DBInstanceClassMemory", "AllocatedStorage", "DBInstanceVCPU", "EndPointPort", "TrueIfReplica")


class FormulaError(ValueError):
    """Not a formula that RDS understands."""


def is_formula(value: str) -> bool:
    return "{" in value or value.partition("(")[0].strip().upper() in FUNCTIONS


def evaluate(formula: str, variables: Mapping[str, int]) -> int:
    """The whole number that `formula` means; divisions round down, as RDS's do."""
    tokens = _tokens(formula)
    value = _sum(tokens, variables)
    if tokens:
        raise FormulaError(f"unexpected '{tokens[0]}' in {formula}")
    return value


def _tokens(formula: str) -> list[str]:
    found, position = [], 0
    while position < len(formula.rstrip()):
        match = TOKEN.match(formula, position)
        if not match:
            raise FormulaError(f"unexpected '{formula[position:]}'")
        found.append(match.group(1))
        position = match.end()
    return found


def _sum(tokens: list[str], variables: Mapping[str, int]) -> int:
    value = _product(tokens, variables)
    while tokens and tokens[0] in "+-":
        sign = 1 if tokens.pop(0) == "+" else -1
        value += sign * _product(tokens, variables)
    return value


def _product(tokens: list[str], variables: Mapping[str, int]) -> int:
    value = _atom(tokens, variables)
    while tokens and tokens[0] in "*/":
        operator, right = tokens.pop(0), _atom(tokens, variables)
        if operator == "/" and right == 0:
            raise FormulaError("division by zero")
        value = value * right if operator == "*" else value // right
    return value


def _atom(tokens: list[str], variables: Mapping[str, int]) -> int:
    token = tokens.pop(0) if tokens else ""
    if token.isdigit():
        return int(token)
    if token in variables:
        return variables[token]
    if token in CLOSING:
        value = _sum(tokens, variables)
        _expect(tokens, CLOSING[token])
        return value
    if token.upper() in FUNCTIONS:
        _expect(tokens, "(")
        values = [_sum(tokens, variables)]
        while tokens and tokens[0] == ",":
            tokens.pop(0)
            values.append(_sum(tokens, variables))
        _expect(tokens, ")")
        return FUNCTIONS[token.upper()](values)
    raise FormulaError(f"unexpected '{token}'")


def _expect(tokens: list[str], wanted: str) -> None:
    if not tokens or tokens.pop(0) != wanted:
        raise FormulaError(f"'{wanted}' is missing")
