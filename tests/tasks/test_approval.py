"""A person's yes to exactly one plan."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Suspended

from deployments import approve
from tasks import approval, expired_approvals, grant
from tasks.errors import NotApproved
from tasks.procedure import procedure
from tests.signed_in import become

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


@procedure
def delete_in_prod(approved_plan: str | None = None) -> None:
    """Change something that needs two people.

    Args:
        approved_plan: Hash approved beforehand.
    """
    approval.require_approval("prod", PLAN, "| delete | database |", approved_plan, people=2)
    changed.append(PLAN)


@pytest.fixture(autouse=True)
def _fresh(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed.clear()
    monkeypatch.setattr(approval, "POLL_SECONDS", 1)


def answer(*given: dict[str, Any]) -> threading.Thread:
    """People who wait for the questions and answer them through the API, as the UI does.

    A run is paused a moment before its form is there: until then the server does not take an answer.
    """

    def look() -> None:
        answered: set[str | None] = set()
        with get_client(sync_client=True) as client:
            deadline = time.monotonic() + 60
            while len(answered) < len(given) and time.monotonic() < deadline:
                for run in client.read_flow_runs(flow_run_filter=PAUSED):
                    key = run.state.state_details.pause_key if run.state else None
                    if key not in answered:
                        taken = client.resume_flow_run(run.id, run_input=given[len(answered)])
                        answered |= {key} if taken.status == SetStateStatus.ACCEPT else set()
                time.sleep(0.2)

    person = threading.Thread(target=look)
    person.start()
    return person


def yes(name: str) -> dict[str, Any]:
    return {"approved": True, "approver": name, "reason": "looks right"}


def test_an_approved_plan_is_carried_out() -> None:
    person = answer(yes("ada"))
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
    person = answer(given)
    state = change_prod(return_state=True)  # type: ignore[call-overload]
    person.join()
    assert state.is_cancelled()
    assert "was not approved" in (state.message or "")
    assert changed == []


def test_nobody_answers_in_time_ends_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "WAIT_SECONDS", 2)
    assert change_prod(return_state=True).is_cancelled()  # type: ignore[call-overload]
    assert changed == []


@pytest.mark.usefixtures("account")
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


def test_what_cannot_be_taken_back_needs_two_different_people() -> None:
    people = answer(yes("ada"), yes(" Ada "), yes("bob"))
    assert delete_in_prod(return_state=True).is_completed()  # type: ignore[call-overload]
    people.join()
    assert changed == [PLAN]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([yes("ada"), {"approved": False, "approver": "bob", "reason": "not now"}], "was not approved by bob: not now"),
        ([yes("ada")] * 4, "approved by ada again and again, expected 2 different people"),
    ],
)
def test_one_person_is_not_two(answers: list[dict[str, Any]], told: str) -> None:
    people = answer(*answers)
    state = delete_in_prod(return_state=True)  # type: ignore[call-overload]
    people.join()
    assert (state.is_cancelled(), changed) == (True, [])
    assert told in (state.message or "")


@pytest.fixture
def sign_in(account: dict[str, Any], client: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Whoever calls AWS from now on is that session of one role."""
    role = client("iam").create_role(RoleName="operator", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    return lambda name: become(client("sts"), role, name, monkeypatch)


def approve_beforehand(name: str) -> int:
    return approve.main([PLAN, "--environment", "prod", "--by", name, "--because", "INC-7"])


def before_a_run() -> Any:
    return delete_in_prod(approved_plan=PLAN, return_state=True)  # type: ignore[call-overload]


def test_two_people_approve_without_a_server_each_under_an_identity_of_their_own(
    sign_in: Callable[[str], None],
) -> None:
    assert "approved by nobody, expected 2 different people" in (before_a_run().message or "")
    sign_in("ada")
    assert approve_beforehand("ada") == 0
    assert approve_beforehand("bob") == 0  # two names, one identity
    assert before_a_run().is_cancelled()
    assert approve_beforehand("ada") == 0
    sign_in("bob")
    assert approve_beforehand("Ada") == 0  # two identities, one name
    assert before_a_run().is_cancelled()
    assert changed == []
    assert approve_beforehand("bob") == 0
    assert before_a_run().is_completed()
    assert changed == [PLAN]


def test_a_yes_expires(sign_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ada", "bob"):
        sign_in(name)
        approve_beforehand(name)
    assert len(grant.find_valid("prod", PLAN, datetime.now(UTC))) == 2
    monkeypatch.setattr(grant, "VALID", timedelta(0))
    assert before_a_run().is_cancelled()
    assert changed == []


def test_a_yes_is_given_to_a_run_or_beforehand_and_beforehand_with_its_reason() -> None:
    assert approve.main([PLAN, "--by", "ada"]) == 2
    assert approve.main([PLAN, "--environment", "prod", "--by", "ada"]) == 2


def test_an_answer_of_a_first_attempt_that_is_hours_old_approves_nothing() -> None:
    now = datetime.now(UTC)
    approval.require_fresh(now - timedelta(hours=3), now, PLAN)
    with pytest.raises(NotApproved, match="that has expired"):
        approval.require_fresh(now - timedelta(hours=5), now, PLAN)


def test_a_suspended_run_that_nobody_answers_in_time_is_ended_as_not_approved() -> None:
    now = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        runs = [
            client.create_flow_run(
                flow(lambda: None, name="waits"),
                state=Suspended(pause_expiration_time=now + ends, pause_key=approval.key_of(PLAN)),
            ).id
            for ends in (timedelta(minutes=-5), timedelta(hours=1))
        ]
        assert [PLAN in line for line in expired_approvals.end_expired.fn(now)] == [True]
        late, waiting = (client.read_flow_run(run).state for run in runs)
        client.delete_flow_run(runs[1])
    assert late is not None
    assert (late.type, late.name) == (StateType.CANCELLED, "NotApproved")
    assert waiting is not None
    assert waiting.is_paused()
