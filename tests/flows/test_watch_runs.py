"""People are told of trouble once, through a web hook that stands for Slack, Teams, mail and pager."""

import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.blocks.system import Secret
from prefect.states import Completed, Failed
from prefect.variables import Variable

from deployments.server import ensure_limits
from flows.watch_runs import plan_priority, watch_runs
from tasks.notification import LOCK, PAGE, TOLD, USUAL
from tasks.watched_runs import Trouble
from tests.sink import sink

CANARY = "canary-in-an-address"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    Variable.unset(TOLD)
    for block in (USUAL, PAGE):
        try:
            Secret.delete(block)
        except ValueError:
            pass


@pytest.fixture
def broken() -> Iterator[Any]:
    """A deployment to prod whose last run is red; called, it gets a green one."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(flow(lambda: None, name="verify-something"))
        deployment = client.create_deployment(flow_id, "prod", tags=["impact:none", "expected:5m"])

        def end(state: Any) -> None:
            run = client.create_flow_run_from_deployment(deployment)
            client.set_flow_run_state(run.id, state, force=True)

        end(Failed(message="the copy lacks 3 rows"))
        yield lambda: end(Completed())
        client.delete_deployment(deployment)


def watch() -> Any:
    return watch_runs(return_state=True)  # type: ignore[call-overload]


def about(arrived: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in arrived if "verify-something" in one["title"]]


def test_a_red_run_is_told_once_to_whoever_is_on_call_and_again_when_it_comes_back(broken: Any) -> None:
    with sink(CANARY) as (address, arrived), sink(CANARY) as (pager, woken):
        Secret(value=address).save(USUAL)
        assert watch().is_completed()
        (notice,) = about(arrived)
        assert notice["title"] == "[P2] verify-something/prod: red"
        assert "the copy lacks 3 rows" in notice["message"]
        assert "level 1: Engineer" in notice["message"]
        assert watch().is_completed()
        assert len(about(arrived)) == 1
        broken()
        assert watch().is_completed()
        assert len(about(arrived)) == 1
        assert not any("verify-something" in key for key in Variable.get(TOLD))
        Secret(value=pager).save(PAGE)
        assert woken == []


def test_what_wakes_somebody_goes_to_the_pager(broken: Any) -> None:
    with sink(CANARY) as (address, arrived), sink(CANARY) as (pager, woken):
        Secret(value=address).save(USUAL)
        Secret(value=pager).save(PAGE)
        assert watch().is_completed()
    assert about(arrived) == []
    assert len(about(woken)) == 1


def test_when_nobody_can_be_told_the_watch_is_red_and_keeps_no_secret(broken: Any) -> None:
    assert "no Secret block notification-url" in str(watch().message)
    with sink(CANARY, 500) as (address, arrived):
        Secret(value=address).save(USUAL)
        state = watch()
    assert state.is_failed()
    assert arrived
    assert "is it reachable?" in str(state.message)
    assert CANARY not in str(state.message)
    assert not Variable.get(TOLD)


def test_two_runs_at_once_tell_once(broken: Any) -> None:
    with sink(CANARY) as (address, arrived):
        Secret(value=address).save(USUAL)
        both = [threading.Thread(target=copy_context().run, args=(watch,)) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join()
    assert len(about(arrived)) == 1


def test_without_the_lock_nobody_is_told_and_the_watch_is_red(broken: Any) -> None:
    with get_client(sync_client=True) as client, sink(CANARY) as (address, arrived):
        Secret(value=address).save(USUAL)
        client.delete_global_concurrency_limit_by_name(LOCK)
        try:
            state = watch()
        finally:
            ensure_limits(client)
    assert state.is_failed()
    assert "make deploy" in str(state.message)
    assert arrived == []


def test_what_one_address_does_not_take_does_not_silence_the_other(broken: Any) -> None:
    with get_client(sync_client=True) as client, sink(CANARY, 500) as (pager, _), sink(CANARY) as (address, arrived):
        Secret(value=pager).save(PAGE)
        Secret(value=address).save(USUAL)
        flow_id = client.create_flow(flow(lambda: None, name="verify-something-else"))
        deployment = client.create_deployment(flow_id, "dev", tags=["impact:none", "expected:5m"])
        run = client.create_flow_run_from_deployment(deployment)
        client.set_flow_run_state(run.id, Failed(message="no space"), force=True)
        try:
            state = watch()
        finally:
            client.delete_deployment(deployment)
    assert state.is_failed()
    assert [one["title"] for one in about(arrived)] == ["[P3] verify-something-else/dev: red"]


@pytest.mark.parametrize(
    ("deployment", "kind", "tags", "priority"),
    [
        ("deploy-application/prod", "red", ("approval:required",), "P1"),
        ("verify-backup/prod", "overdue", (), "P2"),
        ("deploy-application/prod", "too long", ("approval:required",), "P2"),
        ("deploy-application/dev", "red", (), "P3"),
    ],
)
def test_production_comes_first(deployment: str, kind: Any, tags: tuple[str, ...], priority: str) -> None:
    assert plan_priority(Trouble(kind, deployment, tags, "key", "text")) == priority
