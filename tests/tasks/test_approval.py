"""A person's yes to exactly one plan."""

import threading
import time
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import approve
from tasks import approval
from tasks.errors import NotApproved
from tasks.procedure import procedure

PLAN = "abc123abc123"
PAUSED = FlowRunFilter.model_validate({"state": {"type": {"any_": [StateType.PAUSED]}}})
changed: list[str] = []


@procedure
def change_prod(approved_plan: str | None = None) -> None:
    """Change something that needs a yes.

    Args:
        approved_plan: Hash approved beforehand.
    """
    approval.require_approval("prod", PLAN, "| delete | database |", approved_plan)
    changed.append(PLAN)


@pytest.fixture(autouse=True)
def _fresh(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed.clear()
    monkeypatch.setattr(approval, "POLL_SECONDS", 1)


def answer(**given: Any) -> threading.Thread:
    """A person who waits for the question and answers it through the API, as the UI does."""

    def look() -> None:
        with get_client(sync_client=True) as client:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                for run in client.read_flow_runs(flow_run_filter=PAUSED):
                    client.resume_flow_run(run.id, run_input=given)
                    return
                time.sleep(0.2)

    person = threading.Thread(target=look)
    person.start()
    return person


def test_an_approved_plan_is_carried_out() -> None:
    person = answer(approved=True, approver="ada", reason="looks right")
    assert change_prod(return_state=True).is_completed()  # type: ignore[call-overload]
    person.join()
    assert changed == [PLAN]


def test_a_yes_from_the_command_line_is_for_the_plan_that_was_read() -> None:
    codes: list[int] = []

    def person() -> None:
        with get_client(sync_client=True) as client:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                for run in client.read_flow_runs(flow_run_filter=PAUSED):
                    codes.append(approve.main([str(run.id), "000000000000", "--by", "ada"]))
                    codes.append(approve.main([str(run.id), PLAN, "--by", "ada"]))
                    codes.append(approve.main([str(run.id), PLAN, "--by", "ada"]))
                    return
                time.sleep(0.2)

    thread = threading.Thread(target=person)
    thread.start()
    assert change_prod(return_state=True).is_completed()  # type: ignore[call-overload]
    thread.join()
    assert codes == [2, 0, 2]
    assert changed == [PLAN]


@pytest.mark.parametrize(
    "given", [{"approved": False, "approver": "ada", "reason": "not on a Friday"}, {"approved": True, "approver": " "}]
)
def test_a_refused_or_unsigned_plan_ends_cancelled_and_changes_nothing(given: dict[str, Any]) -> None:
    person = answer(**given)
    state = change_prod(return_state=True)  # type: ignore[call-overload]
    person.join()
    assert state.is_cancelled()
    assert "was not approved" in (state.message or "")
    assert changed == []


def test_nobody_answers_in_time_ends_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "WAIT_SECONDS", 2)
    assert change_prod(return_state=True).is_cancelled()  # type: ignore[call-overload]
    assert changed == []


def test_a_hash_approved_beforehand_asks_nobody() -> None:
    assert change_prod(approved_plan=PLAN, return_state=True).is_completed()  # type: ignore[call-overload]
    assert changed == [PLAN]


def test_a_plan_that_changed_since_voids_the_approval() -> None:
    state = change_prod(approved_plan="000000000000", return_state=True)  # type: ignore[call-overload]
    assert state.is_cancelled()
    assert PLAN in (state.message or "")
    assert changed == []


def test_dev_needs_no_person_by_policy() -> None:
    approval.require_approval("dev", PLAN, "", None)


def test_without_a_server_it_says_how_to_approve() -> None:
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(NotApproved, match=f"--approved-plan {PLAN}"):
        approval.require_approval("prod", PLAN, "", None)
