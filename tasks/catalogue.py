"""What a database is made of, but for its rows: read canonically, compared with a reference, and sound in itself."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection, cursor

from tasks.verdict import Verdict

LAYER = "L1 catalogue"
READ = Path(__file__).with_suffix(".sql").read_text()
SHOWN_CHARACTERS = 300
SET = "select set_config('search_path', %s, false), set_config('jit', %s, false)"
# The two spellings of one list: PostgreSQL prints the first before a dump and the second after it is restored.
CAST_LIST = re.compile(r"\(ARRAY\[((?:'(?:[^']|'')*'::character varying(?:, )?)+)\]\)::text\[\]")
CAST_VALUE = re.compile(r"'(?:[^']|'')*'::character varying")
# Which columns take their values from a sequence, be it an identity, a serial or a default written by hand.
SEQUENCES = """
select attrelid::regclass::text, quote_ident(attname), seqrelid::regclass::text, seqincrement > 0
from pg_sequence
join lateral (
    select refobjid as attrelid, refobjsubid as attnum from pg_depend
    where classid = 'pg_class'::regclass and objid = seqrelid and refclassid = 'pg_class'::regclass
      and deptype in ('a', 'i') and refobjsubid > 0
    union
    select adrelid, adnum from pg_depend join pg_attrdef on pg_attrdef.oid = objid
    where classid = 'pg_attrdef'::regclass and refobjid = seqrelid and refclassid = 'pg_class'::regclass
) as users on true
join pg_attribute using (attrelid, attnum)
where not seqcycle
order by seqrelid::regclass::text collate "C"
"""


@dataclass(frozen=True)
class Catalogue:
    """Definitions by 'kind schema.name', sorted; each line of a definition is one fact."""

    entries: Mapping[str, str]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(dict(self.entries), ensure_ascii=False, indent=0)

    @classmethod
    def from_json(cls, text: str) -> "Catalogue":
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, entries: Mapping[str, str]) -> "Catalogue":
        return cls(dict(sorted(entries.items())))


def read_catalogue(database: connection) -> Catalogue:
    """The catalogue of the connected database and of its server's roles, as this transaction sees it."""
    with database.cursor() as session:
        found = _with_full_names(session, READ)
    return Catalogue.of({f"{kind} {name}": _settled(definition or "") for kind, name, definition in found})


def difference(reference: Catalogue, found: Catalogue) -> list[str]:
    """One line for each thing that is not as in the reference: what was seen, what was expected."""
    names = sorted(reference.entries.keys() | found.entries.keys())
    return [
        _one_difference(name, reference.entries.get(name), found.entries.get(name))
        for name in names
        if reference.entries.get(name) != found.entries.get(name)
    ]


def judge_catalogue(database: connection, reference: Catalogue | None) -> Verdict:
    """L1: nothing is missing, added or changed since the reference; without one, at least nothing is unsound."""
    found = read_catalogue(database)
    unsound = _invalid(found)
    different = difference(reference, found) if reference else unsound
    sequences = list(_sequences(database))
    behind = [reason for reason in sequences if reason]
    facts = [f"{len(found.entries)} things, digest {found.digest[:16]}", f"{len(sequences)} sequences were compared"]
    if reference:
        facts += [f"as in the reference: {line}" for line in unsound if line in _invalid(reference)]
    else:
        facts += ["there is no reference: what is missing, added or changed can't be seen"]
    return Verdict(LAYER, (*different, *behind), tuple(facts))


def _with_full_names(session: cursor, query: str) -> list[tuple[Any, ...]]:
    """Run the query with no schema on the search path, so that PostgreSQL writes every name in full."""
    session.execute("select current_setting('search_path'), current_setting('jit')")
    (usual,) = session.fetchall()
    # Compiled, the query takes seconds instead of milliseconds.
    session.execute(SET, ("", "off"))
    session.execute(query)
    found = session.fetchall()
    session.execute(SET, usual)
    return found


def _settled(definition: str) -> str:
    return CAST_LIST.sub(lambda found: "ARRAY[" + CAST_VALUE.sub(r"(\g<0>)::text", found[1]) + "]", definition)


def _one_difference(name: str, expected: str | None, seen: str | None) -> str:
    if expected is None:
        return f"{name} is there ({_short(seen)}), expected none"
    if seen is None:
        return f"{name} is missing, expected it ({_short(expected)})"
    were, are = expected.split("\n"), seen.split("\n")
    gone = _short("\n".join(line for line in were if line not in are))
    new = _short("\n".join(line for line in are if line not in were))
    if not gone and not new:
        return f"{name} has its {len(are)} lines in another order or number, expected {_short(expected)}"
    return f"{name} is {new or 'without it'}, expected {gone or 'none of it'}"


def _short(definition: str | None) -> str:
    text = ", ".join(line.strip() for line in (definition or "").split("\n") if line.strip())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _invalid(catalogue: Catalogue) -> list[str]:
    unsound = {"index": ("invalid", "valid"), "constraint": ("not validated", "validated")}
    return [
        f"{name} is {unsound[kind][0]}, expected {unsound[kind][1]}"
        for name, definition in catalogue.entries.items()
        if (kind := name.split(" ")[0]) in unsound and definition.split("\n")[0] == unsound[kind][0]
    ]


def _sequences(database: connection) -> Iterator[str]:
    """For each column that a sequence feeds: why its next value may be taken already, or nothing."""
    with database.cursor() as session:
        for table, column, sequence, ascending in _with_full_names(session, SEQUENCES):
            parts = {
                "furthest": sql.SQL("max" if ascending else "min"),
                "column": sql.SQL(column),
                "table": sql.SQL(table),
                "sequence": sql.SQL(sequence),
            }
            query = "select last_value, is_called, (select {furthest}({column}) from {table}) from {sequence}"
            session.execute(sql.SQL(query).format(**parts))
            ((last, is_called, furthest),) = session.fetchall()
            ahead = 0 if furthest is None else (last - furthest) * (1 if ascending else -1)
            is_free = furthest is None or ahead > 0 or (ahead == 0 and is_called)
            yield (
                ""
                if is_free
                else (
                    f"sequence {sequence} is at {last}{'' if is_called else ' and was never used'}, expected at or past"
                    f" {furthest}, the furthest {table}.{column}"
                )
            )
