"""No false "equal" and no false "different": each case is two real databases and what one number per bucket says."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2 import sql
from psycopg2.extensions import cursor

from lab.postgres import SUPERUSER, Cluster
from tasks.binary_form import NoBinaryForm, binary_form, read_types
from tasks.content_baseline import TableContent
from tasks.errors import PreconditionFailed
from tasks.fingerprint import BUCKETS_BITS, Buckets, choose_shift, sum_buckets, total
from tasks.pace import Pace
from tasks.postgres import ask
from tasks.tables import list_tables
from tests.databases import cluster_with_verifier, make_database, reading, record, write, write_alone

# One value each, and another that some comparison would take for it.
LOOK_ALIKES = [
    ("text", "null", "''"),
    ("text", "null", "'<null>'"),
    ("text", "null", "'NULL'"),
    ("text", "'a'", "'A'"),
    ("text", "'a'", "'a '"),
    ("text", r"U&'\00e9'", r"U&'e\0301'"),
    ("text", r"U&'\212B'", r"U&'\00C5'"),
    ('text collate "ignoring_case"', "'a'", "'A'"),
    ("varchar(9)", "'a'", "'a '"),
    ("char(3)", "'a'", "'b'"),
    ("name", "'a'", "'b'"),
    ('"char"', "'a'", "'b'"),
    ("bytea", r"'\x'", "null"),
    ("bytea", r"'\x00'", r"'\x0000'"),
    ("boolean", "false", "null"),
    ("smallint", "0", "null"),
    ("integer", "0", "null"),
    ("bigint", "0", "4294967297"),  # PostgreSQL's own hash of a bigint is the same for these
    ("bigint", "-1", "4294967295"),
    ("numeric", "1.0", "1.00"),
    ("numeric", "0", "null"),
    ("numeric", "'NaN'", "'Infinity'"),
    ("numeric", "1e100", "1e100 + 1"),
    ("double precision", "'-0'", "0"),
    ("double precision", "'NaN'", "null"),
    ("double precision", "'Infinity'", "'-Infinity'"),
    ("double precision", "0.1", "0.1::real"),
    ("double precision", "1", "1 + 2.220446049250313e-16"),
    ("real", "'-0'", "0"),
    ("money", "1", "1.01"),
    ("date", "'infinity'", "'-infinity'"),
    ("date", "'2024-01-01'", "'2024-01-01 BC'"),
    ("timestamp", "'2024-01-01 00:00'", "'2024-01-01 00:00:00.000001'"),
    ("timestamptz", "'infinity'", "'-infinity'"),
    ("timestamptz", "'infinity'", "null"),
    ("timestamptz", "'2024-10-27 02:30+02'", "'2024-10-27 02:30+01'"),
    ("timetz", "'12:00+00'", "'13:00+01'"),
    ("time", "'24:00'", "'00:00'"),
    ("interval", "'1 mon'", "'30 days'"),
    ("interval", "'1 day'", "'24 hours'"),
    ("uuid", "'00000000-0000-0000-0000-000000000000'", "null"),
    ("json", """'{"a":1,"b":2}'""", """'{"b":2,"a":1}'"""),
    ("json", "'null'", "null"),
    ("jsonb", "'null'", "null"),
    ("jsonb", """'{"a":1}'""", """'{"a":"1"}'"""),
    ("jsonb", """'{"a":1.0}'""", """'{"a":1.00}'"""),
    ("jsonb", "'[1,2]'", "'[2,1]'"),
    ("xml", "'<a/>'", "'<a></a>'"),
    ("integer[]", "'{}'", "null"),
    ("integer[]", "'{}'", "'{NULL}'"),
    ("integer[]", "'{1,2}'", "'{2,1}'"),
    ("integer[]", "'{1,2}'", "'[0:1]={1,2}'"),
    ("integer[]", "'{1,2,3,4}'", "'{{1,2},{3,4}}'"),
    ("text[]", "'{NULL}'", "'{\"NULL\"}'"),
    ("text[]", "'{\"a,b\"}'", "'{a,b}'"),
    ("inet", "'10.0.0.1'", "'10.0.0.1/8'"),
    ("cidr", "'10.0.0.0/8'", "'10.0.0.0/9'"),
    ("macaddr", "'08:00:2b:01:02:03'", "null"),
    ("bit varying", "B'0'", "B'00'"),
    ("bit(8)", "B'00000001'", "B'10000000'"),
    ("point", "'(0,0)'", "'(-0,0)'"),
    ("tsvector", "'a:1'", "'a:2'"),
    ("tsquery", "'a & b'", "'a | b'"),
    ("int4range", "'empty'", "null"),
    ("int4range", "'[1,2)'", "'[1,)'"),
    ("numrange", "'[1.0,2)'", "'[1.00,2)'"),
    ("int4multirange", "'{[1,2)}'", "'{[1,3)}'"),
    ("pg_lsn", "'0/0'", "null"),
    ("oid", "0", "null"),
    ("regclass", "'pg_class'", "'pg_type'"),
    ("mood", "'sad'", "'glad'"),
    ("mood[]", "'{sad,glad}'", "'{glad,sad}'"),
    ("positive", "1.0", "1.00"),
    ("positive[]", "'{1.0}'", "'{1.00}'"),
    ("place", "row(null, null, null)", "null"),
    ("place", "row('a', null, null)", "row(null, 'a', null)"),
    ("place", "row('', null, null)", "row(null, null, null)"),
    ("place", "row('a', 'b', 'sad')", "row('a', 'b', 'glad')"),
    ("place[]", "array[row('a', 'b', 'sad')::place]", "array[row('a', 'b', 'glad')::place]"),
    ("place[]", "array[row('a', 'b', 'sad')::place]", "array[[row('a', 'b', 'sad')::place]]"),
    ("place[]", "array[null::place]", "array[row(null, null, null)::place]"),
    ("home", "row('a', 'b', 'sad')", "row('a', 'b', 'glad')"),
    ("lists", "'{1.0}'", "'{1.00}'"),
]
WITH_ICU = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
TYPES = """
create collation ignoring_case (%s);
create type mood as enum ('sad', 'glad');
create domain positive as numeric check (value > 0);
create type place as (street text, town text, mood mood);
create domain home as place;
create domain lists as numeric[];
"""
ROWS = """
create table "Odd ""name"" %s" ("the key" int primary key, "a column %" text);
insert into "Odd ""name"" %s" select n, md5(n::text) from generate_series(-5, 5) n;
create schema "other schema";
create table "other schema".by_text (code text, part int, worth numeric, primary key (code, part));
insert into "other schema".by_text select md5(n::text), n % 7, n / 8.0 from generate_series(1, 3000) n;
create table keyless (a text, b float8, c jsonb, d interval, e timestamptz, f bytea, g int[]);
insert into keyless
select n % 50, n / 3.0, jsonb_build_object('n', n), n * interval '1 hour', now() + n * interval '1 s',
       decode(md5(n::text), 'hex'), array[n, null, n] from generate_series(1, 2000) n;
insert into keyless select * from keyless where b < 100;
create table numbered (id bigint primary key, big text, doubled bigint generated always as (id * 2) stored, mood mood,
                       moods mood[], place place, places place[], name regclass, wide float8);
insert into numbered (id, big, mood, moods, place, places, name, wide)
select n * 7 - 9000, repeat(md5(n::text), 200 * (n % 2)), 'sad', '{sad,glad}',
       row(n::text, 'b', 'glad')::place, array[row(n::text, 'b', 'sad')::place],
       'keyless', 'Infinity'::float8 - 'Infinity'::float8
  from generate_series(1, 3000) n;
create table empty (id int primary key);
create table by_year (id int, year int, primary key (id, year)) partition by range (year);
create table by_year_1 partition of by_year for values from (2000) to (2010);
create table by_year_2 partition of by_year for values from (2010) to (2020);
insert into by_year select n, 2000 + n % 20 from generate_series(1, 100) n;
create table parent (id int primary key); create table child () inherits (parent);
insert into parent values (1); insert into child values (1), (2);
"""
FRESH_SCHEMA = "drop schema if exists one cascade; create schema one; set search_path = one, public;"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    yield from cluster_with_verifier()


@pytest.fixture(scope="module")
def typed(cluster: Cluster) -> str:
    """A database with our own types, whose tables come and go."""
    return make_database(cluster, types_for(cluster))


@pytest.fixture(scope="module")
def empty(cluster: Cluster) -> str:
    return make_database(cluster)


@pytest.fixture(scope="module")
def rows(cluster: Cluster) -> str:
    return make_database(cluster, types_for(cluster) + ROWS)


def has_icu(cluster: Cluster) -> bool:
    # A build without it still lists the one that stands for Unicode.
    return cluster.query("select count(*) > 9 from pg_collation where collprovider = 'i'") == [(True,)]


def types_for(cluster: Cluster) -> str:
    return TYPES % (WITH_ICU if has_icu(cluster) else "locale = 'C'")


def has_xml(cluster: Cluster) -> bool:
    try:
        return bool(cluster.query("select xml '<a/>'"))
    except psycopg2.errors.FeatureNotSupported:
        return False


def contents(cluster: Cluster, database: str, **wishes: object) -> dict[str, TableContent]:
    """What is compared; bucket sizes follow estimates, which an ANALYZE changes, so that sums of all stand for them."""
    found = record(cluster, database, **wishes).tables
    return {name: replace(table, shift=0, buckets={0: table.total}) for name, table in found.items()}


def fingerprint_of(cluster: Cluster, database: str, definition: str) -> list[Buckets]:
    """Of the tables that `definition` makes, in a schema of their own."""
    write(cluster, database, f"{FRESH_SCHEMA} {definition}")
    with reading(cluster, database) as session:
        inventory = list_tables(session)
        return [sum_buckets(session, table, 63) for table in inventory.tables if table.schema == "one"]


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
def test_values_that_look_alike_are_told_apart(cluster: Cluster, typed: str, keyed: bool) -> None:
    key = "id int primary key" if keyed else "id int"
    cases = [case for case in LOOK_ALIKES if case[0] != "xml" or has_xml(cluster)]
    columns = ", ".join(f"one{n} {kind}, other{n} {kind}" for n, (kind, _, _) in enumerate(cases))
    row = ", ".join(f"{one}, {other}" for _, one, other in cases)
    write(cluster, typed, f"create table alike ({key}, {columns}); insert into alike values (1, {row})")  # noqa: S608
    try:
        with reading(cluster, typed) as session:
            table = list_tables(session)["public.alike"]
            for n, case in enumerate(cases):
                pair = [
                    replace(table, columns=tuple(c for c in table.columns if c.name in (name, "id")))
                    for name in (f"one{n}", f"other{n}")
                ]
                one, other = (sum_buckets(session, each, 63) for each in pair)
                again = sum_buckets(session, pair[0], 63)
                assert one != other, case
                assert one == again, case
    finally:
        write(cluster, typed, "drop table alike")


# Two tables with other rows, whose rows, columns or bytes are the same when they are thrown together.
UNLIKE_TABLES = {
    "a separator in a value": (
        "create table t (id int primary key, a text, b text); insert into t values (1, 'x|y', 'z')",
        "create table t (id int primary key, a text, b text); insert into t values (1, 'x', 'y|z')",
    ),
    "two columns swapped": (
        "create table t (id int primary key, a text, b text); insert into t values (1, 'x', 'y')",
        "create table t (id int primary key, a text, b text); insert into t values (1, 'y', 'x')",
    ),
    "a value swapped between rows": (
        "create table t (id int primary key, a text, b text); insert into t values (1, 'x', 'p'), (2, 'y', 'q')",
        "create table t (id int primary key, a text, b text); insert into t values (1, 'y', 'p'), (2, 'x', 'q')",
    ),
    "a value swapped between rows with a text as the key": (
        "create table t (id text primary key, a text, b text); insert into t values ('1', 'x', 'p'), ('2', 'y', 'q')",
        "create table t (id text primary key, a text, b text); insert into t values ('1', 'y', 'p'), ('2', 'x', 'q')",
    ),
    "a value swapped between rows with two columns as the key": (
        "create table t (k int, l int, a text, primary key (k, l)); insert into t values (1, 1, 'x'), (2, 2, 'y')",
        "create table t (k int, l int, a text, primary key (k, l)); insert into t values (1, 2, 'x'), (2, 1, 'y')",
    ),
    "a value swapped between rows without a key": (
        "create table t (a text, b text); insert into t values ('1', 'x'), ('2', 'y'), ('3', 'z')",
        "create table t (a text, b text); insert into t values ('1', 'y'), ('2', 'x'), ('3', 'z')",
    ),
    "two rows swapped between their keys": (
        "create table t (id int primary key, a text); insert into t values (1, 'x'), (2, 'y')",
        "create table t (id int primary key, a text); insert into t values (1, 'y'), (2, 'x')",
    ),
    "another key and otherwise NULLs": (
        "create table t (id int primary key, a text); insert into t values (1, null), (2, 'y')",
        "create table t (id int primary key, a text); insert into t values (3, null), (2, 'y')",
    ),
    "nothing but another key": (
        "create table t (id bigint primary key); insert into t values (1), (2)",
        "create table t (id bigint primary key); insert into t values (1), (3)",
    ),
    "another duplicate": (
        "create table t (a int); insert into t values (1), (1), (2)",
        "create table t (a int); insert into t values (1), (2), (2)",
    ),
    "one duplicate less": (
        "create table t (a int); insert into t values (1), (1)",
        "create table t (a int); insert into t values (1)",
    ),
    "a row of NULLs more": (
        "create table t (a int, b int); insert into t values (1, 1)",
        "create table t (a int, b int); insert into t values (1, 1), (null, null)",
    ),
    "a row in the child and not in its parent": (
        "create table t (a int); create table u () inherits (t); insert into t values (1)",
        "create table t (a int); create table u () inherits (t); insert into u values (1)",
    ),
    "keys at the ends of their type": (
        "create table t (id bigint primary key); insert into t values (-9223372036854775808), (9223372036854775807)",
        "create table t (id bigint primary key); insert into t values (-9223372036854775807), (9223372036854775807)",
    ),
    "a long value that differs in its last byte": (
        "create table t (id int primary key, a text); insert into t values (1, repeat('x', 100000) || 'y')",
        "create table t (id int primary key, a text); insert into t values (1, repeat('x', 100000) || 'z')",
    ),
}


@pytest.mark.parametrize("case", UNLIKE_TABLES)
def test_rows_that_are_alike_when_thrown_together_are_told_apart(cluster: Cluster, typed: str, case: str) -> None:
    one, other = (fingerprint_of(cluster, typed, definition) for definition in UNLIKE_TABLES[case])
    assert one != other
    assert one == fingerprint_of(cluster, typed, UNLIKE_TABLES[case][0])


MANY = """do $$ begin for n in 1..20 loop
    execute format('create table t%s (a int, b text)', n);
    execute format('insert into t%s values (1, %L), (2, %L)', n, n + {one}, n + {other});
end loop; end $$"""


def test_a_value_swapped_between_rows_without_a_key_is_told_whatever_the_values(cluster: Cluster, typed: str) -> None:
    # Sums of hashes that are sums themselves are the same modulo 2^64 here, and so for many values alike.
    ones = fingerprint_of(cluster, typed, MANY.format(one=100, other=200))
    others = fingerprint_of(cluster, typed, MANY.format(one=200, other=100))
    assert len(ones) == len(others) == 20
    assert all(one != other for one, other in zip(ones, others, strict=True))


KEYS = ["id int", "id int primary key", "id text primary key", "id bigint primary key"]
VALUES = st.tuples(
    st.sampled_from([None, "", "a", "A", "x|y", "NULL", "\u00e9", "e\u0301", "z" * 3000]),
    st.sampled_from([None, "1.0", "1.00", "0", "NaN", "Infinity"]),
    st.sampled_from([None, 0.0, -0.0, 1.5, float("inf")]),
    st.sampled_from([None, [], [None], [1], [1, None], [0, 4294967297]]),
    st.sampled_from([None, "1 mon", "30 days", "720:00:00"]),
)
Row = tuple[Any, ...]


def make_table(cursor: cursor, name: str, key: str, rows: list[Row]) -> list[bytes]:
    """Each row as a binary COPY writes it, in no order."""
    cursor.execute(f"create table {name} ({key}, a text, b numeric, c float8, d bigint[], e interval)")
    for n, row in enumerate(rows):
        number = str(n % 2 if key == "id int" else n)
        cursor.execute(f"insert into {name} values (%s, %s, %s, %s, %s::bigint[], %s)", (number, *row))  # noqa: S608
    cursor.execute(f"select record_send(t) from {name} t")  # noqa: S608
    return sorted(bytes(sent) for (sent,) in cursor.fetchall())


@settings(max_examples=50, deadline=None)
@given(data=st.data(), key=st.sampled_from(KEYS))
def test_two_tables_have_one_fingerprint_just_when_their_binary_copies_hold_the_same_rows(
    cluster: Cluster, empty: str, data: st.DataObject, key: str
) -> None:
    drawn = data.draw(st.lists(VALUES, max_size=4))
    others = data.draw(st.one_of(st.permutations(drawn), st.lists(VALUES, max_size=4)))
    opened = psycopg2.connect(cluster.dsn(empty))
    try:
        with opened.cursor() as cursor:
            one, other = make_table(cursor, "one", key, drawn), make_table(cursor, "other", key, others)
        sums = [sum_buckets(opened, table, 63) for table in list_tables(opened).tables]
        assert (one == other) == (sums[0] == sums[1])
    finally:
        opened.close()


def restored_by_dump(cluster: Cluster, database: str, options: str) -> str:
    """The same rows in another database, by pg_dump."""
    copy = make_database(cluster, options=options)
    where = f"host={cluster.host} port={cluster.port} user={SUPERUSER} password={cluster.password}"
    archive = cluster.root / f"{database}.dump"
    cluster.run(cluster.binaries["pg_dump"], "-Fc", "-f", str(archive), "-d", f"{where} dbname={database}")
    cluster.run(cluster.binaries["pg_restore"], "--exit-on-error", "-d", f"{where} dbname={copy}", str(archive))
    return copy


@pytest.mark.parametrize(
    "options",
    [
        "template template0 lc_collate 'C' lc_ctype 'C'",
        "template template0 locale_provider icu icu_locale 'tr-TR'",
    ],
)
def test_a_dump_and_another_locale_change_nothing(cluster: Cluster, rows: str, options: str) -> None:
    if "icu" in options and not has_icu(cluster):
        pytest.skip("this PostgreSQL is built without ICU")
    # What a dump does not keep: OIDs of our types, the flag that an array had NULLs, the bits of a NaN, the row order.
    write(cluster, rows, "create table if not exists taken (x int[]); insert into taken values ('{NULL,2}')")
    write(cluster, rows, "update taken set x[1] = 1")
    copy = restored_by_dump(cluster, rows, options)
    assert contents(cluster, copy, depth="signed") == contents(cluster, rows, depth="signed")


def test_another_order_of_rows_on_disk_changes_nothing(cluster: Cluster, rows: str) -> None:
    before = contents(cluster, rows)
    write(cluster, rows, "cluster numbered using numbered_pkey; update keyless set a = a; analyze")
    write(cluster, rows, 'delete from "Odd ""name"" %s" where "the key" = 3')
    write(cluster, rows, """insert into "Odd ""name"" %s" values (3, md5('3'))""")
    write_alone(cluster, rows, "vacuum full")
    assert contents(cluster, rows) == before


def test_a_column_that_came_and_went_changes_nothing(cluster: Cluster, rows: str) -> None:
    before = contents(cluster, rows)
    write(cluster, rows, "alter table numbered add gone text default 'x'; update numbered set gone = 'y' where id > 0")
    assert contents(cluster, rows)["public.numbered"] != before["public.numbered"]
    write(cluster, rows, "alter table numbered drop gone")
    assert contents(cluster, rows) == before


SETTINGS = [
    "datestyle = 'German, DMY'",
    "timezone = 'Asia/Kathmandu'",
    "extra_float_digits = -15",
    "bytea_output = 'escape'",
    "intervalstyle = 'iso_8601'",
    "xmlbinary = 'hex'",
    "work_mem = '64kB'",
    "jit = on",
    "enable_hashagg = off",
    "search_path = 'other schema', public",
]


def test_settings_of_the_database_change_nothing(cluster: Cluster, rows: str) -> None:
    before = contents(cluster, rows)
    write(cluster, rows, "".join(f'alter database "{rows}" set {setting};' for setting in SETTINGS))
    try:
        assert contents(cluster, rows) == before
    finally:
        write(cluster, rows, f'alter database "{rows}" reset all')


def test_workers_and_steps_change_nothing(cluster: Cluster, rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(cluster, rows)
    assert contents(cluster, rows, workers=2) == before
    monkeypatch.setattr("tasks.fingerprint.STEP_PAGES", 3)
    with reading(cluster, rows) as session:
        pace = Pace(session)
        stepwise = {str(t): total(sum_buckets(session, t, 10, pace=pace).values()) for t in list_tables(session).tables}
    assert stepwise == {name: table.total for name, table in before.items()}
    assert pace.statements > len(before)


def test_a_bucket_has_the_same_number_of_keys_below_zero_as_above(cluster: Cluster, typed: str) -> None:
    assert fingerprint_of(
        cluster, typed, "create table t (id int primary key); insert into t select generate_series(-2048, 2047)"
    )
    with reading(cluster, typed) as session:
        found = sum_buckets(session, list_tables(session)["one.t"], 10)
    assert {place: part.rows for place, part in found.items()} == {-2: 1024, -1: 1024, 0: 1024, 1: 1024}


def test_keys_far_apart_do_not_make_more_buckets_than_fit_into_memory(cluster: Cluster, typed: str) -> None:
    far = "insert into t select n * 4611686018427387 from generate_series(-1999, 1999) n"
    fingerprint_of(cluster, typed, f"create table t (id bigint primary key); {far}")
    with reading(cluster, typed) as session:
        table = list_tables(session)["one.t"]
        assert (18_446_744_073_709_551_615 >> choose_shift(session, table)) < (9 << BUCKETS_BITS)


def test_a_column_that_cannot_be_compared_is_an_error_that_names_it(cluster: Cluster) -> None:
    database = make_database(cluster, "create table rights (id int primary key, who aclitem[])")
    complaint = r"column who of table public\.rights holds pg_catalog\.aclitem"
    with reading(cluster, database) as session, pytest.raises(PreconditionFailed, match=complaint):
        list_tables(session)


def test_every_type_of_the_server_has_a_binary_form_or_is_known_to_have_none(cluster: Cluster, typed: str) -> None:
    with reading(cluster, typed) as session:
        types = read_types(session)
        without = set()
        for oid, kind in types.items():
            described = types.get(kind.element, kind)
            if "p" in (kind.kind, described.kind) or (described.kind == "c" and described.schema != "public"):
                continue
            try:
                form = binary_form(sql.SQL("null::{}").format(sql.Identifier(kind.schema, kind.name)), oid, types)
            except NoBinaryForm:
                without.add(kind.name)
                continue
            ask(session, sql.SQL("select pg_catalog.hash_record_extended(row({}), 1)").format(form))
    assert {name.lstrip("_") for name in without} == {"aclitem", "gtsvector"}
