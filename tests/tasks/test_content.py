"""What was restored against what there was: every lie is told, with its key and column, and nothing that is true."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lab.postgres import Cluster
from tasks.content import Comparison, compare_around_backup, compare_with_baseline, compare_with_source
from tasks.content_baseline import ContentBaseline
from tasks.errors import PreconditionFailed
from tasks.pace import Pace
from tests.databases import cluster_with_verifier, make_database, reading, record, write

SHOP = """
create table items (id bigint primary key, name text not null, price numeric not null,
                    updated_at timestamptz not null default '2020-01-01');
insert into items select n, 'secret-' || n, n / 4.0 from generate_series(1, 6000) n;
create table codes (code text, part int, worth numeric, primary key (code, part));
insert into codes select md5(n::text), n % 7, n from generate_series(1, 2000) n;
create table keyless (a int, b text);
insert into keyless select n % 300, 'b' from generate_series(1, 4000) n;
create table ids (id bigint primary key, note text);
insert into ids select case when n = 1 then 4611686018427387904 else n end, null from generate_series(1, 3000) n;
create table nothing (id int primary key);
analyze
"""
# A lie, what is said of it without a source, and the rows that are named with one.
LIES = {
    "a row is gone": ("delete from items where id = 7", "items has 5999 rows, expected 6000", "7 missing"),
    "a row too many": ("insert into items values (70000, 'x', 1)", "items has 6001 rows", "70000 extra"),
    "one bit": ("update items set price = price + 0.25 where id = 8", "id 0 to 1023", "8 differs in price"),
    "two rows swapped": (
        "update items i set name = j.name, price = j.price from items j where i.id in (3, 5) and j.id = 8 - i.id",
        "1 of 6 buckets",
        "2 rows of table public.items differ from the source: 3 differs in name, price; 5 differs in name, price",
    ),
    "another scale": ("update codes set worth = 5.0 where worth = 5", "by a hash of the key", "differs in worth"),
    "another key": ("update codes set part = 9 where worth = 5", "by a hash of the key", ", 9 extra"),
    "a duplicate more": ("insert into keyless values (1, 'b')", "it has no key", "rows of table public.keyless"),
    "a value in a row without a key": (
        "update keyless set b = null where a = 8",
        "it has no key",
        "rows of table public.keyless",
    ),
    "far keys": ("update ids set note = '' where id > 2998", "id ", "4611686018427387904 differs in note"),
    "nothing left": ("truncate codes", "codes has 0 rows, expected 2000", "2000 rows of table public.codes"),
    "something in nothing": ("insert into nothing values (1)", "nothing has 1 rows, expected 0", "1 extra"),
}
SHAPES = {
    "a table is gone": ("drop table nothing", "table public.nothing is not in the restored copy"),
    "a table too many": ("create table new (id int)", "table public.new is in the restored copy"),
    "another type": (
        "alter table items alter price type float8",
        "column price as double precision not null, expected numeric not null",
    ),
    "a column too many": ("alter table items add more int", "column more as integer, expected nothing"),
    "values may be NULL": ("alter table items alter name drop not null", "name as text, expected text not null"),
    "no key": ("alter table codes drop constraint codes_pkey", "primary key (), expected (code, part)"),
    "a large object": ("select lo_create(0)", "there are 1 large objects, expected 0"),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    yield from cluster_with_verifier()


@pytest.fixture(scope="module")
def source(cluster: Cluster) -> str:
    return make_database(cluster, SHOP)


@pytest.fixture(scope="module")
def baseline(cluster: Cluster, source: str) -> ContentBaseline:
    return record(cluster, source, depth="signed")


@pytest.fixture
def copy(cluster: Cluster, source: str) -> str:
    return make_database(cluster, options=f"template {source}")


def against_baseline(cluster: Cluster, restored: str, baseline: ContentBaseline) -> Comparison:
    with reading(cluster, restored) as session:
        return compare_with_baseline(session, baseline)


def told(comparison: Comparison) -> str:
    return "\n".join(comparison.verdict.reasons)


def test_a_true_copy_is_verified_and_the_facts_say_against_what(
    cluster: Cluster, copy: str, baseline: ContentBaseline
) -> None:
    verdict = against_baseline(cluster, copy, ContentBaseline.from_json(baseline.to_json())).verdict
    assert verdict.is_good
    assert "15000 rows of the restored copy were compared" in verdict.facts[0]
    assert f"recorded at {baseline.cut.taken_at.isoformat()} (exactly)" in verdict.facts[1]


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_told_by_its_buckets_and_with_the_source_at_hand_by_its_rows(
    cluster: Cluster, source: str, copy: str, baseline: ContentBaseline, lie: str
) -> None:
    statement, buckets, rows = LIES[lie]
    write(cluster, copy, statement)
    comparison = against_baseline(cluster, copy, baseline)
    assert len(comparison.reasons) == 1
    assert buckets in told(comparison)
    with reading(cluster, copy) as session, reading(cluster, source) as live:
        named = compare_with_baseline(session, baseline, source=live)
        assert rows in told(named)
        assert "secret" not in told(named)
        assert rows in told(compare_with_source(session, live, datetime.now(UTC)))


@pytest.mark.parametrize("lie", SHAPES)
def test_another_shape_is_told(cluster: Cluster, copy: str, baseline: ContentBaseline, lie: str) -> None:
    statement, reason = SHAPES[lie]
    write(cluster, copy, statement)
    comparison = against_baseline(cluster, copy, baseline)
    assert reason in told(comparison)
    assert len(comparison.reasons) == 1


def test_every_differing_row_is_found_when_there_are_many(cluster: Cluster, source: str, copy: str) -> None:
    write(cluster, copy, "update items set name = 'x' where id % 7 = 0; delete from items where id % 1000 = 1")
    with reading(cluster, copy) as session, reading(cluster, source) as live:
        differing = compare_with_source(session, live, datetime.now(UTC)).differing
    assert {int(row.key) for row in differing if row.kind == "differs"} == set(range(7, 6001, 7)) - set(
        range(1, 20001, 1000)
    )
    assert {int(row.key) for row in differing if row.kind == "missing"} == set(range(1, 6001, 1000))
    assert {row.columns for row in differing if row.kind == "differs"} == {("name",)}


def test_no_more_than_so_many_rows_are_named(
    cluster: Cluster, source: str, copy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.content.ROWS_REPORTED", 1_000)
    write(cluster, copy, "update items set name = 'x'")
    with reading(cluster, copy) as session, reading(cluster, source) as live:
        comparison = compare_with_source(session, live, datetime.now(UTC))
    assert len(comparison.differing) == 1_000
    assert "at least 1000 rows" in told(comparison)


def test_a_signature_tells_what_a_sum_of_hashes_might_not(
    cluster: Cluster, copy: str, baseline: ContentBaseline
) -> None:
    items = replace(baseline.tables["public.items"], signature="0" * 64)
    forged = replace(baseline, tables={**baseline.tables, "public.items": items})
    assert told(against_baseline(cluster, copy, forged)) == "table public.items has another SHA-256 than was recorded"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"algorithm": "older/0"}, "the algorithm 'older/0'"),
        ({"server_major": 14}, "the PostgreSQL major version 14"),
        ({"encoding": "LATIN1"}, "the server encoding 'LATIN1'"),
    ],
)
def test_a_baseline_made_otherwise_is_refused(
    cluster: Cluster, source: str, baseline: ContentBaseline, change: dict[str, object], complaint: str
) -> None:
    other = replace(baseline, **change)  # type: ignore[arg-type]
    with pytest.raises(PreconditionFailed, match=complaint):
        against_baseline(cluster, source, other)


def test_a_baseline_is_small_and_survives_json(baseline: ContentBaseline) -> None:
    text = baseline.to_json()
    assert ContentBaseline.from_json(text) == baseline
    assert len(text) < 10_000
    assert "secret" not in text
    with pytest.raises(PreconditionFailed, match="the algorithm 'older/0'"):
        ContentBaseline.from_json(replace(baseline, algorithm="older/0").to_json())


# What happens on the source while a snapshot is made: before its moment, and after it.
EARLIER = """
update items set price = 0, updated_at = now() where id = 10;
insert into items values (30000, 'n', 1, now())"""
LATER = """
update items set price = 9, updated_at = now() where id in (11, 12);
insert into items values (30001, 'n', 1, now())"""


@pytest.fixture(scope="module")
def busy(cluster: Cluster) -> tuple[str, ContentBaseline, ContentBaseline]:
    """A snapshot of a database that is written to, with its records before and after."""
    source = make_database(cluster, SHOP)
    before = record(cluster, source)
    write(cluster, source, EARLIER)
    snapshot = make_database(cluster, options=f"template {source}")
    write(cluster, source, LATER)
    return snapshot, before, record(cluster, source, before=before)


def around(cluster: Cluster, busy: tuple[str, ContentBaseline, ContentBaseline], lie: str = "") -> Comparison:
    snapshot, before, after = busy
    restored = make_database(cluster, lie, options=f"template {snapshot}")
    with reading(cluster, restored) as session:
        return compare_around_backup(session, before, ContentBaseline.from_json(after.to_json()))


def test_rows_changed_while_the_snapshot_was_made_are_counted_and_no_reason(
    cluster: Cluster, busy: tuple[str, ContentBaseline, ContentBaseline]
) -> None:
    verdict = around(cluster, busy).verdict
    assert verdict.is_good
    # 11 and 12 are as they were before, which is not recorded for each row; 10 and 30000 are as they were afterwards.
    assert any("2 rows of table public.items were in flux" in fact for fact in verdict.facts)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("update items set name = 'x' where id = 13", "1 buckets of table public.items (id 0 to 1023) differ in rows"),
        ("delete from items where id = 13", "1 buckets of table public.items (id 0 to 1023) differ in rows"),
        ("delete from items where id = 11", "1 buckets of table public.items (id 0 to 1023) differ in rows"),
        ("update items set updated_at = now() where id = 13", "differ in rows that did not change"),
        ("update items set name = 'x' where id = 5000", "(id 4096 to 5119) differ in rows that did not change"),
        ("insert into items values (25000, 'x', 1)", "(id 24576 to 25599) differ in rows that did not change"),
        ("update codes set worth = 5.0 where worth = 5", "no column that says when a row was changed"),
        ("update keyless set b = 'c' where a = 1", "no column that says when a row was changed"),
        ("drop table ids", "table public.ids is not in the restored copy"),
    ],
)
def test_a_lie_about_a_row_that_was_not_changed_is_told_even_in_a_bucket_that_was(
    cluster: Cluster, busy: tuple[str, ContentBaseline, ContentBaseline], lie: str, reason: str
) -> None:
    assert reason in told(around(cluster, busy, lie))


def test_a_quiet_snapshot_is_proven_whole(cluster: Cluster, source: str, copy: str) -> None:
    before = record(cluster, source)
    after = record(cluster, source, before=before)
    with reading(cluster, copy) as session:
        verdict = compare_around_backup(session, before, after).verdict
    assert verdict.is_good
    assert not any("flux" in fact for fact in verdict.facts)


def against_source(cluster: Cluster, after: str, lie: str = "", **wishes: bool) -> Comparison:
    """A point in time, at which a copy was made; `after` happens to the source afterwards."""
    source = make_database(cluster, SHOP)
    restored = make_database(cluster, lie, options=f"template {source}")
    moment = datetime.now(UTC) + timedelta(minutes=1)  # behind it, what lasts longer than no transaction does
    write(cluster, source, after.replace("now()", "now() + interval '2 minutes'"))
    with reading(cluster, restored) as session, reading(cluster, source) as live:
        return compare_with_source(session, live, moment, pace=Pace(live), **wishes)


def test_rows_that_the_source_changed_since_the_point_are_counted_and_all_others_proven(cluster: Cluster) -> None:
    verdict = against_source(cluster, EARLIER + ";" + LATER).verdict
    assert verdict.is_good
    assert any("5 rows of table public.items were changed since" in fact for fact in verdict.facts)
    assert any("over one connection" in fact for fact in verdict.facts)


def test_a_lie_among_rows_changed_since_is_told(cluster: Cluster) -> None:
    comparison = against_source(
        cluster, LATER, "update items set price = 7 where id = 13; delete from items where id = 14"
    )
    assert told(comparison) == ("2 rows of table public.items differ from the source: 13 differs in price; 14 missing")


def test_rows_deleted_since_do_not_hide_another_that_is_wrong(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.content.ROWS_REPORTED", 3)
    after, lie = "delete from items where id < 30", "update items set name = 'x' where id = 5000"
    assert "5000 differs in name" in told(against_source(cluster, after, lie, allow_deleted=True))


def test_a_second_record_that_was_not_taken_after_the_first_is_refused(
    cluster: Cluster, source: str, copy: str, baseline: ContentBaseline
) -> None:
    other = record(cluster, source, before=record(cluster, source))
    with reading(cluster, copy) as session, pytest.raises(PreconditionFailed, match="was not taken after"):
        compare_around_backup(session, baseline, other)


def test_a_row_that_only_the_copy_has_is_not_proven_unless_the_caller_knows_better(cluster: Cluster) -> None:
    after = "delete from items where id in (20, 21)"
    reason = "2 rows of table public.items differ from the source: 20 extra; 21 extra: deleted since or never there"
    assert reason in told(against_source(cluster, after))
    verdict = against_source(cluster, after, allow_deleted=True).verdict
    assert verdict.is_good
    assert any(reason in fact for fact in verdict.facts)
