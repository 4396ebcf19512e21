"""One change at a time, proven with the locks of real processes."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks import aws, change_lock, state_backend
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


def write_late(run_id: str, ready: Any, topic: str, told: str) -> None:
    """Is stopped in the middle of its change, and tells how the rest of it ended."""
    change_lock.run_id = lambda: run_id  # type: ignore[assignment]
    sns = aws.client("sns")
    with lock("dev", "deploy-application", LEASE_SECONDS):
        ready.set()
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue=run_id)
        except LeaseLost as lost:
            Path(told).write_text(type(lost).__name__)
        else:
            Path(told).write_text("written")


def start_holder(run_id: str, *late: str) -> multiprocessing.Process:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=write_late if late else hold_for_ever, args=(run_id, ready, *late))
    holder.start()
    assert ready.wait(30)
    return holder  # type: ignore[return-value]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


def test_a_process_that_was_stopped_for_longer_than_its_lease_changes_nothing_when_it_wakes_up(
    become: Callable[[str], None], tmp_path: Path
) -> None:
    """SIGSTOP is a laptop that sleeps: its clock, its keeper and its next step all wake up at once."""
    topic = aws.client("sns").create_topic(Name="written-by")["TopicArn"]
    late = start_holder("run-1", topic, str(tmp_path / "told"))
    try:
        wait_until(lambda: psutil.Process(late.pid).status() == psutil.STATUS_STOPPED)
        become("run-2")
        with lock("dev", "deploy-application", LEASE_SECONDS):
            aws.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="run-2")
            os.kill(late.pid or 0, signal.SIGCONT)
            wait_until((tmp_path / "told").exists)
    finally:
        late.kill()
        late.join()
    assert (tmp_path / "told").read_text() == "LeaseLost"
    found = aws.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"]
    assert found == "run-2"


def test_a_living_holder_whose_clock_is_behind_keeps_its_lease(
    become: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the taker's clock the lease ran out long ago; that it is renewed shows that its holder lives."""
    holder = start_holder("run-1")
    try:
        become("run-2")
        now = time.time
        monkeypatch.setattr(change_lock.time, "time", lambda: now() + 60)
        with pytest.raises(PreconditionFailed, match="run-1"), lock("dev", "deploy-infrastructure", LEASE_SECONDS):
            pytest.fail("two runs hold dev")
    finally:
        holder.kill()
        holder.join()


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
