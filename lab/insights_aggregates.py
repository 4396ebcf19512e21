"""What `stats` computes over the rows of a group."""

import math
import statistics
from collections.abc import Callable
from typing import Any

from lab.insights_expression import Expression, Row, parse_expression
from lab.insights_tokens import BadQuery, Tokens
from lab.insights_values import number_of, text_of

Aggregate = Callable[[list[Row]], Any]


def parse_aggregate(tokens: Tokens) -> Aggregate:
    kind, name = tokens.peek()
    if kind != "name" or name.lower() not in AGGREGATES:
        raise tokens.unexpected()
    tokens.next()
    tokens.expect("(")
    arguments: list[Expression] = []
    while not tokens.take(")"):
        if arguments:
            tokens.expect(",")
        arguments.append(_everything if tokens.take("*") else parse_expression(tokens))
    wanted, make = AGGREGATES[name.lower()]
    if len(arguments) not in wanted:
        raise BadQuery(f"{name} does not take {len(arguments)} arguments")
    return make(*arguments)


def _everything(_: Row) -> bool:
    return True


def _count(argument: Expression = _everything) -> Aggregate:
    return lambda rows: sum(argument(row) is not None for row in rows)


def _count_distinct(argument: Expression) -> Aggregate:
    return lambda rows: len({text_of(value) for row in rows if (value := argument(row)) is not None})


def _of_numbers(compute: Callable[[list[float]], float]) -> Callable[[Expression], Aggregate]:
    def make(argument: Expression) -> Aggregate:
        def value(rows: list[Row]) -> float | None:
            found = _numbers(argument, rows)
            return compute(found) if found else None

        return value

    return make


def _numbers(argument: Expression, rows: list[Row]) -> list[float]:
    return [number for row in rows if (number := number_of(argument(row))) is not None]


def _pct(argument: Expression, percent: Expression) -> Aggregate:
    share = number_of(percent({}))
    if share is None or not 0 <= share <= 100:
        raise BadQuery("pct takes a field and a number from 0 to 100")

    def value(rows: list[Row]) -> float | None:
        found = sorted(_numbers(argument, rows))
        return found[max(math.ceil(len(found) * share / 100), 1) - 1] if found else None

    return value


def _newest(argument: Expression) -> Aggregate:
    return lambda rows: argument(max(rows, key=_moment))


def _oldest(argument: Expression) -> Aggregate:
    return lambda rows: argument(min(rows, key=_moment))


def _moment(row: Row) -> int:
    return int(row.get("@timestamp", 0))


# How many arguments each takes, and what it makes of them.
AGGREGATES: dict[str, tuple[range, Callable[..., Aggregate]]] = {
    "avg": (range(1, 2), _of_numbers(statistics.fmean)),
    "count": (range(2), _count),
    "count_distinct": (range(1, 2), _count_distinct),
    "earliest": (range(1, 2), _oldest),
    "latest": (range(1, 2), _newest),
    "max": (range(1, 2), _of_numbers(max)),
    "median": (range(1, 2), _of_numbers(statistics.median)),
    "min": (range(1, 2), _of_numbers(min)),
    "pct": (range(2, 3), _pct),
    "stddev": (range(1, 2), _of_numbers(statistics.pstdev)),
    "sum": (range(1, 2), _of_numbers(math.fsum)),
}
