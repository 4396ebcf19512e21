"""What a database held at one moment: a few numbers per thousand rows, to be kept beside a backup."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.errors import PreconditionFailed
from tasks.fingerprint import (
    ALGORITHM,
    Buckets,
    Sum,
    choose_shift,
    position,
    recently_changed,
    row_hash,
    set_workers,
    sum_buckets,
    total,
)
from tasks.pace import Pace
from tasks.postgres import ask
from tasks.quiet_moment import Cut
from tasks.signature import sign
from tasks.tables import Table, list_tables, require_unchanged

Depth = Literal["content", "signed"]
SERVER = "select current_setting('server_version_num')::int / 10000, current_setting('server_encoding')"
# A row says when its transaction began; it can be seen when that ends. None of ours lasts longer.
LONGEST_TRANSACTION = timedelta(minutes=1)
# So many rows changed around the backup are remembered one by one; of a table with more, only sums are.
CHANGES_REMEMBERED = 100_000


@dataclass(frozen=True)
class Changes:
    """The rows changed since `since`: their hashes by position, or None when they are too many; the others' sums."""

    since: datetime
    rows: dict[int, int] | None = field(repr=False)
    others: Buckets = field(repr=False)


@dataclass(frozen=True)
class TableContent:
    """`shape` is each column's name and type; it and the primary key are part of what must be equal."""

    shape: dict[str, str]
    key: tuple[str, ...]
    shift: int
    buckets: Buckets = field(repr=False)
    changes: Changes | None = None
    signature: str | None = None

    @property
    def total(self) -> Sum:
        return total(self.buckets.values())


@dataclass(frozen=True)
class ContentBaseline:
    algorithm: str
    server_major: int
    encoding: str
    cut: Cut
    tables: dict[str, TableContent]
    large_objects: int
    left_out: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(table.total.rows for table in self.tables.values())

    def to_json(self) -> str:
        plain = asdict(self)
        for content in plain["tables"].values():
            content["buckets"] = _columnar(content["buckets"])
            if content["changes"]:
                content["changes"]["others"] = _columnar(content["changes"]["others"])
                content["changes"]["rows"] = _pairs(content["changes"]["rows"])
        return json.dumps(plain, separators=(",", ":"), default=datetime.isoformat)

    @classmethod
    def from_json(cls, text: str) -> "ContentBaseline":
        """
        Raises:
            PreconditionFailed: it was made by another algorithm.
        """
        plain = json.loads(text)
        _require_same("algorithm", plain["algorithm"], ALGORITHM)
        times = {name: datetime.fromisoformat(plain["cut"][name]) for name in ("taken_at", "earliest", "latest")}
        cut = Cut(is_exact=plain["cut"]["is_exact"], **times)
        tables = {name: _content(content) for name, content in plain["tables"].items()}
        return cls(**{**plain, "cut": cut, "tables": tables, "left_out": tuple(plain["left_out"])})


def take_baseline(
    session: connection,
    cut: Cut,
    *,
    before: "ContentBaseline | None" = None,
    workers: int = 0,
    pace: Pace | None = None,
    depth: Depth = "content",
) -> ContentBaseline:
    """Read every row of every table once, in the transaction that `cut` was made with.

    Args:
        before: the baseline that was taken before the backup, when this one is taken after it.
        workers: processes beside the session's own; on a source that serves, none.
    """
    inventory = list_tables(session)
    set_workers(session, workers)
    tables = {str(table): _take(session, table, before, pace, depth) for table in inventory.tables}
    require_unchanged(session, inventory.tables)
    ((major, encoding),) = ask(session, SERVER)
    return ContentBaseline(ALGORITHM, major, encoding, cut, tables, inventory.large_objects, inventory.left_out)


def require_comparable(baseline: ContentBaseline, session: connection) -> None:
    """
    Raises:
        PreconditionFailed: equal rows would not have equal hashes here.
    """
    _require_same("algorithm", baseline.algorithm, ALGORITHM)
    _require_server("the baseline", baseline.server_major, baseline.encoding, session)


def require_pair(before: ContentBaseline, after: ContentBaseline) -> None:
    """
    Raises:
        PreconditionFailed: the two do not belong together.
    """
    since = before.cut.earliest - LONGEST_TRANSACTION
    for name, content in after.tables.items():
        earlier = before.tables.get(name)
        if earlier and (earlier.shift != content.shift or (content.changes and content.changes.since != since)):
            raise PreconditionFailed(
                f"the second baseline of table {name} has other buckets than the first, expected the same:"
                f" it was not taken after the one of {before.cut}. Make the backup again"
            )


def require_same_server(session: connection, source: connection) -> None:
    """
    Raises:
        PreconditionFailed: equal rows would not have equal hashes in both.
    """
    ((major, encoding),) = ask(source, SERVER)
    _require_server("the source", major, encoding, session)


def _require_server(reference: str, major: int, encoding: str, session: connection) -> None:
    ((here, encoding_here),) = ask(session, SERVER)
    _require_same("PostgreSQL major version", major, here, reference)
    _require_same("server encoding", encoding, encoding_here, reference)


def _take(
    session: connection, table: Table, before: ContentBaseline | None, pace: Pace | None, depth: Depth
) -> TableContent:
    earlier = before.tables.get(str(table)) if before else None
    shift = earlier.shift if earlier else choose_shift(session, table)
    buckets = sum_buckets(session, table, shift, pace=pace)
    since = before.cut.earliest - LONGEST_TRANSACTION if before and table.change_time else None
    changes = _changes(session, table, shift, since, pace) if since else None
    signature = sign(session, table) if depth == "signed" else None
    return TableContent(table.shape, table.key, shift, buckets, changes, signature)


def _changes(session: connection, table: Table, shift: int, since: datetime, pace: Pace | None) -> Changes:
    recent = recently_changed(table, since)
    rows = ask(
        session,
        sql.SQL("select {}, {} from only {} as t where {} limit {}").format(
            position(table), row_hash(table), table.identifier, recent, sql.Literal(CHANGES_REMEMBERED + 1)
        ),
    )
    others = sum_buckets(session, table, shift, sql.SQL("not {}").format(recent), pace)
    return Changes(since, dict(rows) if len(rows) <= CHANGES_REMEMBERED else None, others)


def _require_same(what: str, theirs: object, here: object, reference: str = "the baseline") -> None:
    if theirs != here:
        raise PreconditionFailed(
            f"{reference} has the {what} {theirs!r}, and the restored copy {here!r}; expected the same: equal rows"
            " would have other hashes. Compare with a baseline that was taken like this"
        )


def _columnar(buckets: dict[int, Iterable[int]]) -> list[list[int]]:
    return [list(buckets), *(list(part) for part in zip(*buckets.values(), strict=True))]


def _pairs(rows: dict[int, int] | None) -> list[list[int]] | None:
    return None if rows is None else [list(pair) for pair in rows.items()]


def _buckets(columnar: list[list[int]]) -> Buckets:
    return {place: Sum(rows, hashes) for place, rows, hashes in zip(*columnar, strict=True)} if columnar[0] else {}


def _content(plain: dict[str, Any]) -> TableContent:
    changes = plain["changes"]
    if changes:
        since = datetime.fromisoformat(changes["since"])
        rows = None if changes["rows"] is None else dict(changes["rows"])
        changes = Changes(since, rows, _buckets(changes["others"]))
    return TableContent(
        **{**plain, "key": tuple(plain["key"]), "buckets": _buckets(plain["buckets"]), "changes": changes}
    )
