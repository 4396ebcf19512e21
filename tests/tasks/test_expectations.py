from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr

from app.heartbeat import beat
from app.schema import migrate
from lab.postgres import Cluster
from tasks.expectations import Meaning, bound_row_counts, judge_meaning
from tasks.postgres import Address

CANARY = "canary-in-a-row"
PASSWORD = "pass word/@:%{x}"
ORDERS = '"Odd ""schema"."The order"'
ROWS = """
create schema "Odd ""schema";
create table ORDERS (
    id bigint primary key, "of :whom" bigint constraint "of: whom" references items, twin bigint references items,
    code text constraint "{coded}" check (code ~ '^[[:alpha:]]{1,2} :x%' or code is null), part integer,
    piece integer, unique (part, piece)
);
create table days (day date primary key) partition by range (day);
create table january partition of days for values from ('2026-01-01') to ('2026-02-01');
create table february partition of days for values from ('2026-02-01') to ('2026-03-01');
create table notes (day date references days);
insert into days values ('2026-01-31'), ('2026-02-01');
insert into notes select day from days;
insert into items (name, description, price, created_at, updated_at)
select 'CANARY', 'CANARY', n, now() - interval '1 hour', now() - interval '1 hour' from generate_series(1, 20) as n;
insert into ORDERS select n, n, null, 'a :x%CANARY', n, null from generate_series(1, 5) as n;
""".replace("ORDERS", ORDERS).replace("CANARY", CANARY)
# What a broken disk, a wrong collation or a careless superuser leaves: the declarations stand, the rows break them.
DAMAGE = """
set session_replication_role = replica;
create temp table kept on commit drop as
    select conname, conrelid::regclass as relation, pg_get_constraintdef(oid) as definition
    from pg_constraint where contype = 'c' and conrelid <> 0;
do $$ declare kept record; begin
    for kept in select * from kept loop
        execute format('alter table %s drop constraint %I', kept.relation, kept.conname);
    end loop;
end $$;
update items set updated_at = created_at - interval '1 day' where id = 2;
update items set created_at = now() + interval '1 day', updated_at = now() + interval '1 day' where id = 3;
update items set name = '', description = repeat('CANARY', 200), price = -1 where id in (7, 8);
delete from items where id = 5;
alter table items alter description type varchar(3000);
update ORDERS set code = '1CANARY' where id = 1;
do $$ declare kept record; begin
    for kept in select * from kept loop
        execute format('alter table %s add constraint %I %s not valid', kept.relation, kept.conname, kept.definition);
    end loop;
end $$;
update pg_constraint set convalidated = true where contype = 'c';
update pg_index set indisready = false, indisvalid = false where indexrelid::regclass::text ~ 'The order_p';
insert into ORDERS (id, part, piece) values (8, 1, 1), (8, 1, 1);
update pg_index set indisready = true, indisvalid = true where indexrelid::regclass::text ~ 'The order_p';
alter table heartbeats drop column digest cascade;
""".replace("ORDERS", ORDERS).replace("CANARY", CANARY)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.temporary() as running:
        running.query("create role verifier login password %s in role pg_read_all_data", PASSWORD)
        running.query("create database restored")
        database = psycopg2.connect(running.dsn("restored"))
        migrate(database)
        beat(database, CANARY)
        with database, database.cursor() as session:
            session.execute(ROWS)
        database.close()
        yield running


def address(cluster: Cluster, name: str) -> Address:
    return Address(cluster.host, cluster.port, name, "verifier", SecretStr(PASSWORD))


@pytest.fixture(scope="module")
def good(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Meaning:
    counts = {"public.items": 20, "public.heartbeats": 1, "public.january": 1, 'Odd "schema.The order': 5}
    folder = tmp_path_factory.mktemp("good") / "docs"
    return judge_meaning(address(cluster, "restored"), datetime.now(UTC), bound_row_counts(counts), folder)


@pytest.fixture(scope="module")
def damaged(cluster: Cluster, good: Meaning, tmp_path_factory: pytest.TempPathFactory) -> Meaning:
    cluster.query("create database damaged template restored")
    database = psycopg2.connect(cluster.dsn("damaged"), options="-c allow_system_table_mods=on")
    with database, database.cursor() as session:
        session.execute(DAMAGE)
    database.close()
    counts = {"public.items": (25, 30), "public.gone": (1, 2)}
    return judge_meaning(address(cluster, "damaged"), datetime.now(UTC), counts, tmp_path_factory.mktemp("damaged"))


def text_below(folder: Path) -> str:
    return "\n".join(f"{path}\n{path.read_text(errors='replace')}" for path in folder.rglob("*") if path.is_file())


def test_rows_that_are_what_they_should_be_are_verified(good: Meaning) -> None:
    assert good.verdict.is_good, good.verdict.reasons
    assert good.verdict.facts == ("57 expectations of 7 tables", "4 row counts as in the baseline")


@pytest.mark.parametrize(
    "reason",
    [
        "table public.gone is missing, expected it with 1 to 2 rows",
        "table public.items: 19 was seen, expected that it has 25 to 30 rows",
        "table public.items: 1 of 19 rows are not so, expected that no item was changed before it was made",
        "table public.items: 1 was seen, expected that no item is of after the restore point",
        "table public.items: 2 of 19 rows are not so, expected that description has 0 to 2000 characters",
        "table public.items: 2 of 19 rows are not so, expected that name has 1 to 200 characters",
        "table public.items: 2 of 19 rows are not so, expected that price is a price",
        "table public.items: VARCHAR(3000) was seen, expected that description is a text",
        "table public.heartbeats: it could not be asked, expected that each digest has 64 characters",
        'table Odd "schema.The order: 1 was seen, expected that check {coded} holds',
        'table Odd "schema.The order: 1 was seen, expected that every of :whom is in public.items (of: whom)',
        'table Odd "schema.The order: 2 of 7 rows are not so, expected that id is unique',
        'table Odd "schema.The order: 2 of 7 rows are not so, expected that (part, piece) is unique',
    ],
)
def test_each_damage_is_counted_in_words(damaged: Meaning, reason: str) -> None:
    assert reason in damaged.verdict.reasons, damaged.verdict.reasons


def test_no_value_no_password_and_no_path_gets_out(cluster: Cluster, good: Meaning, damaged: Meaning) -> None:
    for meaning in (good, damaged):
        told = text_below(meaning.docs.parent) + repr(meaning)
        assert "The order" in told
        for secret in (CANARY, PASSWORD, "postgresql", str(cluster.port), "verifier", "Traceback", "site-packages"):
            assert secret not in told, secret


def test_the_data_docs_are_whole_by_themselves(good: Meaning, damaged: Meaning) -> None:
    for meaning in (good, damaged):
        pages = list(meaning.docs.parent.rglob("*"))
        assert {page.suffix for page in pages if page.is_file()} == {".html"}
        for page in pages:
            if page.is_file():
                text = page.read_text()
                assert "<script" not in text
                assert "<link" not in text
                assert "src=" not in text
        index = meaning.docs.read_text()
        links = [part.split("'")[0] for part in index.split("href='")[1:]]
        assert len(links) == 7
        assert all((meaning.docs.parent / link).is_file() for link in links)
    assert "12 of 22 expectations hold" in damaged.docs.read_text()


def test_nothing_is_left_connected_and_nothing_was_written(cluster: Cluster, damaged: Meaning) -> None:
    sessions = "select count(*) from pg_stat_activity where usename = 'verifier'"
    assert cluster.query(sessions) == [(0,)]
    assert cluster.query("select count(*) from items", database="damaged") == [(19,)]


def test_row_counts_are_bounded_by_what_was_counted_around_the_backup() -> None:
    assert bound_row_counts({"a": 10, "b": 5}) == {"a": (10, 10), "b": (5, 5)}
    assert bound_row_counts({"a": 10, "b": 5}, {"a": 12, "b": 3}) == {"a": (10, 12), "b": (3, 5)}
    assert bound_row_counts({"a": 100}, slack=0.1) == {"a": (90, 110)}
