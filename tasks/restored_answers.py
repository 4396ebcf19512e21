"""What the application must answer when it runs on a restored database, and what it did answer."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ANSWER = re.compile(r"> (?P<what>[\w-]+) (?P<status>\d{3})")
CREATED_PRICE, UPDATED_PRICE = "12.50", "7.25"  # as the suite's script says
HEAD = 3  # two rows for a page, and one more that shows whether another follows


@dataclass(frozen=True)
class Row:
    """An item without what it says of people, as text in JSON's spelling."""

    id: int
    price: str
    created_at: str
    updated_at: str

    def fields(self) -> dict[str, list[Any]]:
        return {name: [value] for name, value in vars(self).items()}


@dataclass(frozen=True)
class Contents:
    """What the database itself says; `schema` is 0 where no release has ever been, `head` its first items."""

    schema: int
    items: int
    head: tuple[Row, ...] = ()
    last: Row | None = None


@dataclass(frozen=True)
class Answer:
    status: int
    fields: tuple[tuple[str, Any], ...] = ()

    def all(self, name: str) -> list[Any]:
        return [value for key, value in self.fields if key == name]

    def __str__(self) -> str:
        said = ", ".join(f"{name} {value!r}" for name, value in self.fields)
        return f"{self.status or 'no answer'}{f' ({said})' if said else ''}"


@dataclass(frozen=True)
class Expectation:
    what: str
    status: int
    fields: Mapping[str, list[Any]] = field(default_factory=dict)

    def reasons(self, answers: Mapping[str, Answer]) -> list[str]:
        seen = answers.get(self.what, Answer(0))
        if seen.status == self.status and all(seen.all(name) == values for name, values in self.fields.items()):
            return []
        said = ", ".join(f"{name} {' '.join(map(repr, values)) or 'none'}" for name, values in self.fields.items())
        return [f"{self.what} answered {seen}, expected {self.status}{f' ({said})' if said else ''}"]


def read_answers(output: str) -> dict[str, Answer]:
    """By name, the last of each: a line `> name status`, and below it the fields in the order of the answer."""
    found: dict[str, Answer] = {}
    what = ""
    for line in output.splitlines():
        if begun := ANSWER.fullmatch(line):
            what = begun["what"]
            found[what] = Answer(int(begun["status"]))
        elif line.startswith('"') and what:
            known = found[what]
            found[what] = Answer(known.status, (*known.fields, *_fields(line)))
    return found


def judge_contents(contents: Contents) -> list[str]:
    """What makes it pointless to start anything."""
    if not contents.schema:
        return [
            "the restored database has no schema of the application (no table schema_migrations with a row, or no"
            " items), expected one: nothing was restored, or another database"
        ]
    if not contents.items:
        return ["the restored database has no row in items, expected at least one for the application to answer with"]
    return []


def judge_answers(
    answers: Mapping[str, Answer], contents: Contents, instance_id: str, versions: tuple[str, ...]
) -> list[str]:
    """Why they are not what a release answers that works on these contents."""
    ready = answers.get("ready") or answers.get("waiting") or Answer(0)
    if ready.status != 200:
        why = next(iter(ready.all("reason")), None) or "nothing"
        return [
            f"the application did not become ready, it answered {ready.status or 'nothing'} and said: {why}. Expected"
            f" it to run on the restored database, whose schema is version {contents.schema}"
        ]
    wanted = [*_expected_reads(contents, instance_id), *_expected_writes()]
    reasons = [reason for one in wanted for reason in one.reasons(answers)]
    first = [*_schema_reasons(ready, contents), *_version_reasons(answers, versions)]
    return [*first, *reasons, *_id_reasons(answers, contents)]


def _expected_reads(contents: Contents, instance_id: str) -> list[Expectation]:
    first, last = contents.head[0], contents.last or contents.head[-1]
    well = {"status": ["healthy"], "database": ["connected"], "instance": [instance_id]}
    return [
        Expectation("health", 200, well),
        Expectation("first-page", 200, _page(contents, 0)),
        Expectation("next-page", 200, _page(contents, 1)),
        Expectation("behind-the-last", 200, {"id": [], "next": [None]}),
        Expectation("first-item", 200, first.fields()),
        Expectation("last-item", 200, last.fields()),
        Expectation("no-such-item", 404, {"code": ["not_found"]}),
        Expectation("bad-parameter", 400, {"code": ["invalid_parameter"]}),
    ]


def _expected_writes() -> list[Expectation]:
    return [
        Expectation("create", 201, {"price": [CREATED_PRICE]}),
        Expectation("read-created", 200, {"price": [CREATED_PRICE]}),
        Expectation("update", 200, {"price": [UPDATED_PRICE]}),
        Expectation("read-updated", 200, {"price": [UPDATED_PRICE]}),
        Expectation("delete", 204),
        Expectation("read-deleted", 404, {"code": ["not_found"]}),
        Expectation("bad-body", 400, {"code": ["malformed_json"]}),
    ]


def _page(contents: Contents, start: int) -> dict[str, list[Any]]:
    ids = [row.id for row in contents.head[start : start + HEAD - 1]]
    more = contents.items > start + len(ids)
    return {"id": ids, "next": [ids[-1] if more and ids else None]}


def _schema_reasons(ready: Answer, contents: Contents) -> list[str]:
    """At its start a release brings an older schema up to its own: then it works on what it made, not on the backup."""
    found = next((value for value in ready.all("version") if isinstance(value, int)), None)
    if found == contents.schema:
        return []
    return [
        f"the release migrated the restored database from schema version {contents.schema} to {found}, expected one"
        " that it runs on as it is: its answers tell of what it made, not of the backup. A recovery to this point would"
        " begin with that migration too; verify a newer point"
    ]


def _version_reasons(answers: Mapping[str, Answer], versions: tuple[str, ...]) -> list[str]:
    seen = next(iter(answers.get("health", Answer(0)).all("version")), None)
    if not versions or seen in versions:
        return []
    return [f"the application on the copy is version {seen}, expected {' or '.join(versions)} as in production"]


def _id_reasons(answers: Mapping[str, Answer], contents: Contents) -> list[str]:
    """A sequence that was not restored gives ids that are taken already."""
    made = next(iter(answers.get("create", Answer(0)).all("id")), None)
    highest = contents.last.id if contents.last else 0
    if made is None or made > highest:
        return []
    return [f"a new item got id {made}, expected one above {highest}, the highest restored: the sequence is behind"]


def _fields(line: str) -> list[tuple[str, Any]]:
    """Numbers with a fraction stay text: 12.50 is what was stored, 12.5 is not."""
    try:
        return list(json.loads(f"{{{line}}}", parse_float=str).items())
    except ValueError:
        return []  # cut off where SSM keeps no more; the answer lacks the field and is judged so
