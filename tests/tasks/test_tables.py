"""What is compared, what is not and why, and what the verifying role may do."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from lab.postgres import Cluster
from tasks.content_baseline import take_baseline
from tasks.errors import PreconditionFailed
from tasks.postgres import Address, ask, open_session
from tasks.quiet_moment import open_quiet_moment
from tasks.tables import list_tables
from tests.databases import VERIFIER, address, cluster_with_verifier, make_database, reading, record, write

KINDS = """
create schema "Other ""one"" two";
create table "Other ""one"" two"."Items %s" (id int primary key, "N %s" text, created_at timestamptz, applied_at date);
create table composed (a int, b uuid, c text, primary key (c, a));
create table keyless (a int, updated_at timestamp);
create unlogged table fleeting (id int primary key);
create materialized view derived as select 1 as one;
create view seen as select 1 as one;
create foreign data wrapper nowhere; create server far foreign data wrapper nowhere;
create foreign table abroad (id int) server far;
create table split (id int primary key) partition by range (id);
create table split_low partition of split for values from (0) to (10);
create table split_high partition of split for values from (10) to (20);
insert into split select generate_series(0, 19);
select lo_create(0);
"""
A_ROW = "insert into composed values (1, gen_random_uuid(), 'x')"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    yield from cluster_with_verifier()


@pytest.fixture(scope="module")
def kinds(cluster: Cluster) -> str:
    return make_database(cluster, KINDS)


def test_every_table_with_rows_of_its_own_is_compared_and_all_else_is_told(cluster: Cluster, kinds: str) -> None:
    with reading(cluster, kinds) as session:
        inventory = list_tables(session)
    names = {'Other "one" two.Items %s', "public.composed", "public.keyless", "public.split_low", "public.split_high"}
    assert inventory.by_name.keys() == names
    assert inventory["public.composed"].key == ("c", "a")
    assert inventory.large_objects == 1
    told = "\n".join(inventory.left_out)
    for one in ("public.fleeting", "public.derived", "public.abroad", "large objects are counted (1)", "postgres"):
        assert one in told
    assert "seen" not in told


def test_a_partitioned_table_is_read_once(cluster: Cluster, kinds: str) -> None:
    tables = record(cluster, kinds).tables
    assert {name: table.total.rows for name, table in tables.items() if "split" in name} == {
        "public.split_low": 10,
        "public.split_high": 10,
    }


def test_the_change_time_is_found_by_its_name_and_has_a_time_zone(cluster: Cluster, kinds: str) -> None:
    with reading(cluster, kinds) as session:
        inventory = list_tables(session)
    assert inventory['Other "one" two.Items %s'].change_time == "created_at"
    assert inventory["public.keyless"].change_time is None


def test_a_table_that_the_role_may_not_read_is_an_error(cluster: Cluster, kinds: str) -> None:
    cluster.query("create role half login password 'half'")
    write(cluster, kinds, "grant select on composed to half")
    half = Address(cluster.host, cluster.port, kinds, "half", SecretStr("half"))
    with open_session(half) as session, pytest.raises(PreconditionFailed, match=r"half may not read.*public\.keyless"):
        list_tables(session)


def test_rows_that_a_policy_hides_are_an_error(cluster: Cluster) -> None:
    database = make_database(
        cluster,
        "create table secret (id int primary key); insert into secret values (1);"
        "alter table secret enable row level security; create policy none on secret using (false)",
    )
    with reading(cluster, database) as session:
        with pytest.raises(PreconditionFailed, match=r"row-level security hides rows of public\.secret"):
            list_tables(session)
        session.rollback()
        with pytest.raises(PreconditionFailed, match="row-level security"):
            ask(session, "select count(*) from public.secret")


@pytest.mark.parametrize(
    "change",
    [
        "truncate composed",
        "alter table composed add now timestamptz default clock_timestamp()",
        "drop table composed",
    ],
)
def test_a_table_that_is_emptied_behind_an_open_snapshot_is_an_error_and_not_an_empty_table(
    cluster: Cluster, change: str
) -> None:
    database = make_database(cluster, f"{KINDS}; {A_ROW}")
    with open_quiet_moment(address(cluster, database)) as (session, cut):
        write(cluster, database, change)
        with pytest.raises(PreconditionFailed, match="composed"):
            take_baseline(session, cut)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into public.composed values (1, null, 'x')",
        "update public.composed set b = null",
        "delete from public.composed",
        "truncate public.composed",
        "drop table public.composed",
        "create table public.mine (id int)",
    ],
)
def test_the_verifying_role_cannot_write(cluster: Cluster, kinds: str, statement: str) -> None:
    refused = "read-only transaction|must be owner"
    with reading(cluster, kinds) as session, pytest.raises(PreconditionFailed, match=refused):
        ask(session, statement)
    with (
        open_session(address(cluster, kinds), read_only=False) as session,
        pytest.raises(PreconditionFailed, match=r"permission denied|must be owner"),
    ):
        ask(session, statement)


def test_a_password_that_is_wrong_says_what_to_look_at_and_not_itself(cluster: Cluster, kinds: str) -> None:
    wrong = Address(cluster.host, cluster.port, kinds, VERIFIER, SecretStr("not-the-password"))
    with pytest.raises(PreconditionFailed, match="did not let runbook_verifier in") as told, open_session(wrong):
        pass
    assert "not-the-password" not in str(told.value) + repr(wrong)


def test_a_statement_that_takes_too_long_is_ended(cluster: Cluster, kinds: str) -> None:
    with (
        open_session(address(cluster, kinds), statement_timeout_seconds=0.05) as session,
        pytest.raises(PreconditionFailed, match="statement timeout"),
    ):
        ask(session, "select pg_catalog.pg_sleep(5)")


def test_a_session_sees_one_moment(cluster: Cluster, kinds: str) -> None:
    with reading(cluster, kinds) as session:
        before = ask(session, "select count(*) from public.keyless")
        write(cluster, kinds, "insert into keyless values (1)")
        assert ask(session, "select count(*) from public.keyless") == before
