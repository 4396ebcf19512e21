"""Logs Insights: a query is compiled to steps over rows, and run over the log events of a time range."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.insights_aggregates import Aggregate, parse_aggregate
from lab.insights_expression import Expression, Row, parse_expression, parse_operand
from lab.insights_tokens import BadQuery, Tokens, compile_regex, unquote
from lab.insights_values import Moment, number_of, text_of
from lab.log_pattern import MISSING, parse_document

MOST_ROWS = 10_000
DEFAULT_COLUMNS = ["@timestamp", "@message"]
Named = tuple[str, Expression]
Step = Callable[[Iterable[Row]], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Event:
    timestamp: int
    message: str
    stream: str
    group: str
    pointer: str

    def row(self) -> Row:
        document = parse_document(self.message)
        found = document if document is not MISSING and isinstance(document, dict) else {}
        return {
            **{name: value for name, value in found.items() if value is not None},
            "@timestamp": Moment(self.timestamp),
            "@message": self.message,
            "@logStream": self.stream,
            "@log": self.group,
            "@ptr": self.pointer,
        }


@dataclass
class Query:
    """What a query text says. `run` gives the result rows as AWS shows them, and how many events matched."""

    steps: list[Step] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    aggregated: bool = False
    # How many of the steps only choose events; what is left after them has matched.
    choosing: int = 0
    matched: int = 0

    def run(self, events: Iterable[Event], limit: int = MOST_ROWS) -> list[dict[str, str]]:
        rows: Iterable[Row] = (event.row() for event in sorted(events, key=lambda e: e.timestamp, reverse=True))
        for step in self.steps[: self.choosing]:
            rows = step(rows)
        rows = list(rows)
        self.matched = len(rows)
        for step in self.steps[self.choosing :]:
            rows = step(rows)
        return [self._show(row) for row in list(rows)[:limit]]

    def _show(self, row: Row) -> dict[str, str]:
        columns = self.columns or DEFAULT_COLUMNS
        shown = columns if self.aggregated else [*columns, "@ptr"]
        return {name: text_of(row[name]) for name in dict.fromkeys(shown) if row.get(name) is not None}


def compile_query(text: str) -> Query:
    query, tokens = Query(), Tokens(text)
    while True:
        kind, word = tokens.peek()
        command = COMMANDS.get(word.lower()) if kind == "name" else None
        if command is None:
            raise tokens.unexpected()
        tokens.next()
        command(query, tokens)
        if tokens.peek()[0] == "end":
            return query
        tokens.expect("|")


def _fields(query: Query, tokens: Tokens) -> None:
    named = list(_named(tokens))
    query.columns += [name for name, _ in named]
    query.steps.append(lambda rows: (_with(row, named) for row in rows))


def _display(query: Query, tokens: Tokens) -> None:
    named = list(_named(tokens))
    query.columns = [name for name, _ in named]
    query.steps.append(lambda rows: (_with(row, named) for row in rows))


def _with(row: Row, named: list[Named]) -> Row:
    for name, expression in named:
        row[name] = expression(row)
    return row


def _named(tokens: Tokens) -> Iterator[Named]:
    """expression [as name], ..."""
    while True:
        start = tokens.position
        expression = parse_expression(tokens)
        yield tokens.alias() or tokens.since(start), expression
        if not tokens.take(","):
            return


def _filter(query: Query, tokens: Tokens) -> None:
    condition = parse_expression(tokens)
    query.steps.append(lambda rows: (row for row in rows if condition(row)))
    if not query.aggregated:
        query.choosing = len(query.steps)


def _stats(query: Query, tokens: Tokens) -> None:
    aggregates: list[tuple[str, Aggregate]] = []
    while not aggregates or tokens.take(","):
        start = tokens.position
        computed = parse_aggregate(tokens)
        aggregates.append((tokens.alias() or tokens.since(start), computed))
    keys = list(_named(tokens)) if tokens.take("by") else []
    query.columns = [name for name, _ in [*keys, *aggregates]]
    query.aggregated = True

    def aggregate(rows: Iterable[Row]) -> list[Row]:
        groups: dict[tuple[str | None, ...], list[Row]] = {} if keys else {(): []}
        for row in rows:
            values = (expression(row) for _, expression in keys)
            groups.setdefault(tuple(None if v is None else text_of(v) for v in values), []).append(row)
        return [_aggregated(members, keys, aggregates) for members in groups.values()]

    query.steps.append(aggregate)


def _aggregated(members: list[Row], keys: list[Named], aggregates: list[tuple[str, Aggregate]]) -> Row:
    row = {name: expression(members[0]) for name, expression in keys}
    return row | {name: aggregate(members) for name, aggregate in aggregates}


def _sort(query: Query, tokens: Tokens) -> None:
    keys: list[tuple[Expression, bool]] = []
    while not keys or tokens.take(","):
        expression = parse_expression(tokens)
        keys.append((expression, tokens.take("asc", "desc") == "desc"))

    def sort(rows: Iterable[Row]) -> list[Row]:
        found = list(rows)
        for expression, descending in reversed(keys):
            absent = [row for row in found if expression(row) is None]
            present = [row for row in found if expression(row) is not None]
            found = sorted(present, key=lambda row: _rank(expression(row)), reverse=descending) + absent
        return found

    query.steps.append(sort)


def _rank(value: Any) -> tuple[int, float, str]:
    number = number_of(value)
    return (1, 0.0, text_of(value)) if number is None else (0, number, "")


def _limit(query: Query, tokens: Tokens) -> None:
    kind, text = tokens.peek()
    if kind != "number" or not text.isdigit() or not 1 <= int(text) <= MOST_ROWS:
        raise tokens.unexpected()
    tokens.next()
    query.steps.append(lambda rows: list(rows)[: int(text)])


def _dedup(query: Query, tokens: Tokens) -> None:
    keys = [expression for _, expression in _named(tokens)]

    def dedup(rows: Iterable[Row]) -> list[Row]:
        first: dict[tuple[str, ...], Row] = {}
        for row in rows:
            first.setdefault(tuple(text_of(key(row)) for key in keys), row)
        return list(first.values())

    query.steps.append(dedup)


def _parse(query: Query, tokens: Tokens) -> None:
    """parse field "glob * text *" as a, b; or parse field /(?<a>...)/"""
    source = parse_operand(tokens)
    if regex := tokens.regex():
        pattern, names = regex, list(regex.groupindex)
    else:
        kind, glob = tokens.next()
        if kind != "string" or not tokens.take("as"):
            raise tokens.unexpected()
        pattern = compile_regex("(.*?)".join(re.escape(part) for part in unquote(glob).split("*")) + r"\s*$")
        names = [name for name, _ in _named(tokens)]
        if pattern.groups != len(names):
            raise BadQuery(f"the pattern {glob} has {pattern.groups} wildcards and {len(names)} names")

    def parse(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            value = source(row)
            found = pattern.search(text_of(value)) if value is not None else None
            yield row | dict(zip(names, found.groups(), strict=True)) if found else row

    query.steps.append(parse)


COMMANDS: dict[str, Callable[[Query, Tokens], None]] = {
    "fields": _fields,
    "display": _display,
    "filter": _filter,
    "stats": _stats,
    "sort": _sort,
    "limit": _limit,
    "dedup": _dedup,
    "parse": _parse,
}
