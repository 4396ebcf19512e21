"""One change at a time, proven with the locks of real processes."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tasks import change_lock, state_backend
from tasks.change_lock import LeaseLost, require_free
from tasks.change_lock import change_lock as lock
from tasks.errors import PreconditionFailed

LEASE_SECONDS = 1.5


@pytest.fixture(autouse=True)
def _table(account: dict[str, Any]) -> None:
    state_backend.ensure_lock_table.fn()


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda run_id: monkeypatch.setattr(change_lock, "run_id", lambda: run_id)


def hold_for_ever(run_id: str, ready: Any) -> None:
    change_lock.run_id = lambda: run_id  # type: ignore[assignment]
    with lock("dev", "deploy-application", LEASE_SECONDS):
        ready.set()
        time.sleep(600)


def start_holder(run_id: str) -> multiprocessing.Process:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold_for_ever, args=(run_id, ready))
    holder.start()
    assert ready.wait(30)
    return holder  # type: ignore[return-value]


def test_a_second_run_is_refused_by_name_while_the_first_one_lives(become: Callable[[str], None]) -> None:
    holder = start_holder("run-1")
    try:
        become("run-2")
        with pytest.raises(PreconditionFailed, match=r"dev is being changed by deploy-application \(run run-1"):
            require_free.fn("dev")
        with pytest.raises(PreconditionFailed, match="run-1"), lock("dev", "deploy-infrastructure", LEASE_SECONDS):
            pytest.fail("two runs hold dev")
    finally:
        holder.kill()
        holder.join()


def test_a_killed_run_gets_its_environment_back_at_once(become: Callable[[str], None]) -> None:
    holder = start_holder("run-1")
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    become("run-1")
    began = time.monotonic()
    with lock("dev", "deploy-application", 60) as lease:
        assert lease.holder.fence == 2
    assert time.monotonic() - began < LEASE_SECONDS


def test_another_run_takes_over_only_after_a_dead_one_stopped_renewing(become: Callable[[str], None]) -> None:
    holder = start_holder("run-1")
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    become("run-2")
    with lock("dev", "deploy-application", LEASE_SECONDS) as lease:
        assert lease.holder.run_id == "run-2"


def test_a_lease_is_renewed_for_as_long_as_it_is_held(become: Callable[[str], None]) -> None:
    become("run-1")
    with lock("dev", "deploy-application", LEASE_SECONDS) as lease:
        time.sleep(2 * LEASE_SECONDS)
        lease.require_held()
        become("run-2")
        with pytest.raises(PreconditionFailed):
            require_free.fn("dev")


def test_a_holder_whose_lease_was_taken_over_stops(become: Callable[[str], None]) -> None:
    become("run-1")
    with lock("dev", "deploy-application", LEASE_SECONDS) as stale, lock("dev", "deploy-application", 60):
        deadline = time.monotonic() + 5
        while not stale.lost and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(LeaseLost, match="no longer ours"):
            stale.require_held()


def test_what_a_holder_lends_is_shared_within_its_run_and_free_at_no_time_between(
    become: Callable[[str], None],
) -> None:
    become("run-1")
    with lock("dev", "run-drill", 60) as lease, lease.lent():
        with lock("dev", "deploy-application", LEASE_SECONDS) as shared:
            assert shared is lease
        become("run-2")
        with pytest.raises(PreconditionFailed, match="run-drill"):
            require_free.fn("dev")
    require_free.fn("dev")


def test_what_was_handed_over_is_taken_back_from_a_process_that_died(become: Callable[[str], None]) -> None:
    become("run-1")
    with lock("dev", "run-drill", LEASE_SECONDS) as lease:
        with lease.handed_over():
            holder = start_holder("run-1")
            os.kill(holder.pid or 0, signal.SIGKILL)
            holder.join()
        assert lease.holder.fence == 3
        time.sleep(LEASE_SECONDS)
        lease.require_held()
        become("run-2")
        assert not change_lock.is_free("dev")


def test_ended_changes_leave_the_environment_free_and_another_one_untouched(become: Callable[[str], None]) -> None:
    become("run-1")
    with lock("dev", "deploy-application", 60):
        become("run-2")
        with lock("prod", "deploy-application", 60):
            pass
        require_free.fn("prod")
        become("run-1")
    become("run-3")
    require_free.fn("dev")


def test_of_many_that_start_at_once_exactly_one_gets_in(become: Callable[[str], None]) -> None:
    entered: list[str] = []
    start = threading.Barrier(6)

    def compete() -> None:
        start.wait()
        holder = change_lock.Holder(threading.current_thread().name, "p", "x", 1, time.time() + 60)
        if change_lock._take("dev", holder, None):
            entered.append(holder.run_id)

    threads = [threading.Thread(target=compete) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) == 1
