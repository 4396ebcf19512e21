"""The binary form of each type: what two values must share to be the same value, whatever the session's settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.postgres import ask

# PostgreSQL's own hash of these tells every two values apart. Not so of bigint (it folds 64 bits to 32), numeric,
# float and interval (1.0 = 1.00, -0.0 = 0.0, 30 days = 1 mon), nor of enums (they hash by an OID).
HASHED_AS_THEY_ARE = frozenset({"bool", "bytea", "date", "int2", "int4", "oid", "uuid"})
TEXTS = frozenset({"text", "varchar"})
FLOATS = frozenset({"float4", "float8"})
# They name an object by its OID, which a dump does not keep.
OBJECT_NAMES = frozenset(
    {
        *("regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator"),
        *("regproc", "regprocedure", "regrole", "regtype"),
    }
)
TYPES = """
select t.oid, t.typname, n.nspname, t.typtype, t.typbasetype, t.typelem, s.proname, sn.nspname,
       s.proargtypes[0] = t.oid or s.proargtypes[0] in (select p.oid from pg_catalog.pg_type p where p.typtype = 'p'),
       (select array_agg(a.attname::text order by a.attname) from pg_catalog.pg_attribute a
         where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped and t.typtype = 'c'),
       (select array_agg(a.atttypid::bigint order by a.attname) from pg_catalog.pg_attribute a
         where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped and t.typtype = 'c')
  from pg_catalog.pg_type t
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  left join pg_catalog.pg_proc s on s.oid = t.typsend
  left join pg_catalog.pg_namespace sn on sn.oid = s.pronamespace"""


@dataclass(frozen=True)
class Type:
    name: str
    schema: str
    kind: str  # pg_type.typtype
    base: int
    element: int
    send: str | None
    send_schema: str | None
    sends_itself: bool | None  # its send function is declared for it, and not for a type that looks the same inside
    fields: tuple[tuple[str, int], ...] = ()

    @property
    def is_array(self) -> bool:
        return self.send == "array_send" and self.send_schema == "pg_catalog" and self.element != 0


class NoBinaryForm(Exception):
    """A type without a send function; the message is its name."""


def read_types(session: connection) -> dict[int, Type]:
    return {
        oid: Type(
            name, schema, kind, base, element, send, sent_by, itself, tuple(zip(names or (), types or (), strict=True))
        )
        for oid, name, schema, kind, base, element, send, sent_by, itself, names, types in ask(session, TYPES)
    }


def binary_form(value: sql.Composable, oid: int, types: Mapping[int, Type]) -> sql.Composable:
    """An expression that differs for every two values that differ, NULL among them.

    Raises:
        NoBinaryForm: the type, or one within it, cannot be sent.
    """
    kind = types[oid]
    if kind.kind == "d":
        return binary_form(_cast(value, types[kind.base]), kind.base, types)
    if kind.kind == "c":
        return _of_composite(value, kind, types)
    if kind.is_array:
        return _of_array(value, kind, types)
    return (kind.schema == "pg_catalog" and _of_builtin(value, kind.name)) or _sent(value, kind)


def _of_builtin(value: sql.Composable, name: str) -> sql.Composable | None:
    """Of the types for which there is something better than what they send."""
    if name in HASHED_AS_THEY_ARE:
        return value
    if name in TEXTS:  # without this the hash follows the column's collation, which may ignore case
        return sql.SQL('{} collate pg_catalog."C"').format(value)
    if name in FLOATS:  # arithmetic makes a NaN of other bits than the one that is read from text
        return sql.SQL("pg_catalog.{1}(case when {0} = 'NaN' then 'NaN' else {0} end)").format(
            value, sql.Identifier(f"{name}send")
        )
    return sql.SQL("{}::pg_catalog.text").format(value) if name in OBJECT_NAMES else None


def _sent(value: sql.Composable, kind: Type) -> sql.Composable:
    if kind.send is None or kind.send_schema is None:
        raise NoBinaryForm(f"{kind.schema}.{kind.name}")
    if not kind.sends_itself:  # behind the number of fields and the OID stand its length and what it sends
        return sql.SQL("pg_catalog.substr(pg_catalog.record_send(row({})), 9)").format(value)
    return sql.SQL("{}({})").format(sql.Identifier(kind.send_schema, kind.send), value)


def _of_composite(value: sql.Composable, kind: Type, types: Mapping[int, Type]) -> sql.Composable:
    """record_send alone would write the OIDs of the fields' types, which a dump does not keep."""
    fields = (
        binary_form(sql.SQL("({}).{}").format(value, sql.Identifier(name)), oid, types) for name, oid in kind.fields
    )
    # "is null" would also be true of a row whose fields are all NULL.
    return sql.SQL("case when {0} is distinct from null then pg_catalog.record_send(row({1})) end").format(
        value, sql.SQL(", ").join(fields)
    )


def _of_array(value: sql.Composable, kind: Type, types: Mapping[int, Type]) -> sql.Composable:
    element = _without_domains(kind.element, types)
    if types[element].kind == "c" or types[element].is_array or types[element].name in OBJECT_NAMES:
        each = binary_form(sql.SQL("e.v"), kind.element, types)
        return sql.SQL(
            "case when {0} is not null then pg_catalog.record_send(row(pg_catalog.array_dims({0}),"
            " array(select {1} from (select pg_catalog.unnest({0}) as v) as e))) end"
        ).format(value, each)
    binary_form(value, element, types)  # an element that cannot be sent is an error here, not in the database
    # Bytes 5 to 12 are a flag that says there may be NULLs (it outlives them), and the OID of the elements' type.
    return sql.SQL(
        "pg_catalog.overlay(pg_catalog.array_send({}), '\\x0000000000000000'::pg_catalog.bytea, 5, 8)"
    ).format(value)


def _without_domains(oid: int, types: Mapping[int, Type]) -> int:
    while types[oid].kind == "d":
        oid = types[oid].base
    return oid


def _cast(value: sql.Composable, kind: Type) -> sql.Composable:
    return sql.SQL("({}::{})").format(value, sql.Identifier(kind.schema, kind.name))
