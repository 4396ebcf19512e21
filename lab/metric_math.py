"""Metric math: the arithmetic, comparisons and functions that dashboards and alarms use most."""

import ast
import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from lab.extend import AWSError

TimeSeries = dict[datetime, float]
Value = float | TimeSeries | list[TimeSeries]

OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.BitXor: operator.pow,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum,
    "MAX": max,
    "MIN": min,
    "AVG": lambda values: sum(values) / len(values),
}


def evaluate(expression: str, metrics: dict[str, TimeSeries]) -> TimeSeries:
    """The time series of `expression` over other queries' results, by their ids."""
    try:
        value = _Evaluation(metrics).of(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, TypeError, KeyError, ValueError) as error:
        raise AWSError("ValidationError", f"Error in expression '{expression}': {error}") from error
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        raise AWSError("ValidationError", f"Error in expression '{expression}': the result is no single series")
    return {moment: float(value) for series in metrics.values() for moment in series}


class _Evaluation:
    def __init__(self, metrics: dict[str, TimeSeries]) -> None:
        self._metrics = metrics

    def of(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return self._metrics[name]
            case ast.List(elts=parts):
                return [self.of(part) for part in parts]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return combine(operator.sub, 0.0, self.of(operand))
            case ast.BinOp(left=left, op=sign, right=right):
                return combine(OPERATORS[type(sign)], self.of(left), self.of(right))
            case ast.Compare(left=left, ops=[sign], comparators=[right]):
                return combine(OPERATORS[type(sign)], self.of(left), self.of(right))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name.upper(), arguments)
        raise ValueError("not offered by this lab")

    def _call(self, name: str, arguments: list[ast.expr]) -> Any:
        if name == "METRICS" and not arguments:
            return list(self._metrics.values())
        values = [self.of(argument) for argument in arguments]
        if name in AGGREGATES:
            return aggregate(AGGREGATES[name], values[0])
        if name == "FILL":
            moments = {moment for series in self._metrics.values() for moment in series}
            return {moment: values[0].get(moment, values[1]) for moment in moments}
        if name == "IF":
            return choose(*values)
        raise ValueError(f"the function {name} is not offered by this lab")


def combine(function: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    """Point by point where both have one; a division by zero leaves no point, as on AWS."""
    if not isinstance(left, dict) and not isinstance(right, dict):
        return float(function(left, right))
    some = [side for side in (left, right) if isinstance(side, dict)]
    result: TimeSeries = {}
    for moment in sorted(set.intersection(*(set(side) for side in some))):
        try:
            result[moment] = float(function(_at(left, moment), _at(right, moment)))
        except ZeroDivisionError:
            continue
    return result


def _at(value: Value, moment: datetime) -> Any:
    return value[moment] if isinstance(value, dict) else value


def aggregate(function: Callable[[list[float]], float], value: Value) -> Value:
    """Of one series a number; of several one series."""
    if isinstance(value, dict):
        return function(list(value.values())) if value else 0.0
    if not isinstance(value, list):
        raise TypeError("an aggregate needs a metric or an array of them")
    moments = sorted({moment for series in value for moment in series})
    return {at: function([series[at] for series in value if at in series]) for at in moments}


def choose(condition: Value, then: Value, otherwise: Value = 0.0) -> Value:
    """IF(condition, a, b): b's points may be there when a's are not (a division by zero, say)."""
    if not isinstance(condition, dict):
        return then if condition else otherwise
    result: TimeSeries = {}
    for moment, true in condition.items():
        chosen = then if true else otherwise
        if not isinstance(chosen, dict) or moment in chosen:
            result[moment] = float(_at(chosen, moment))
    return result
