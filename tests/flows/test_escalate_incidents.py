"""An incident climbs, against a web hook: who is told, when, and what stops it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.system import Secret

from flows.answer_incident import answer_incident
from flows.escalate_incidents import escalate_incidents
from flows.open_incident import open_incident
from tasks import incident, on_call
from tasks.notification import PAGE, USUAL
from tests import killing
from tests.sink import sink

# The runbook's path for P1, with one rota for every day.
ON_CALL = """
rota:
  - {days: [Mon, Tue, Wed, Thu, Fri, Sat, Sun], primary: Ann, secondary: Bob, manager: Eve}
overrides: []
escalation:
  P0: &any
    - {after_minutes: 0, level: 1, who: primary, by: page, answer_minutes: 15}
  P1:
    - {after_minutes: 0, level: 1, who: primary, by: page, answer_minutes: 15}
    - {after_minutes: 0, level: 2, who: secondary, by: page, answer_minutes: 30}
    - {after_minutes: 30, level: 3, who: manager, by: phone, answer_minutes: 0, unless: acknowledged}
    - {after_minutes: 240, level: 4, who: VP Engineering, by: phone, answer_minutes: 0, unless: resolved}
  P2: *any
  P3:
    - {after_minutes: 0, level: 1, who: primary, by: message, answer_minutes: 15}
"""


@pytest.fixture
def told(account: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Who was paged, in order."""
    file = tmp_path / "on_call.yaml"
    file.write_text(ON_CALL)
    monkeypatch.setattr(on_call, "DATA", file)
    with sink() as (usual, messages), sink() as (pager, pages):
        Secret(value=usual).save(USUAL, overwrite=True)
        Secret(value=pager).save(PAGE, overwrite=True)
        yield lambda: [one["message"].splitlines()[-1].split(": ")[1].split(" by")[0] for one in (*pages, *messages)]
    for block in (USUAL, PAGE):
        Secret.delete(block)


def begin(priority: str = "P1") -> None:
    assert open_incident("dev", "INC-1", "checkout fails", priority, return_state=True).is_completed()  # type: ignore[call-overload]


def pass_by(minutes: float) -> None:
    """What the clock does: it began so long ago."""
    one = incident.find("dev", "INC-1")
    assert one
    incident.keep(one, began_at=(one.began - timedelta(minutes=minutes)).isoformat())


def escalate() -> Any:
    return escalate_incidents(return_state=True)  # type: ignore[call-overload]


def answer(**how: Any) -> Any:
    return answer_incident("dev", "INC-1", "Ann", **how, return_state=True)  # type: ignore[call-overload]


def test_what_nobody_answers_climbs_each_step_at_its_time_and_once(told: Callable[[], list[str]]) -> None:
    begin()
    assert told() == ["Ann", "Bob"]
    pass_by(29)
    assert escalate().is_completed()
    assert told() == ["Ann", "Bob"]
    pass_by(2)
    for _ in range(2):
        assert escalate().is_completed()
    assert told() == ["Ann", "Bob", "Eve"]
    pass_by(210)
    assert escalate().is_completed()
    assert told() == ["Ann", "Bob", "Eve", "VP Engineering"]
    begin()  # opened again under its name, it is the same one
    assert len(told()) == 4


def test_an_acknowledged_one_wakes_nobody_further_but_for_what_stays_unresolved(told: Callable[[], list[str]]) -> None:
    begin()
    assert answer().is_completed()
    pass_by(300)
    assert escalate().is_completed()
    assert told() == ["Ann", "Bob", "VP Engineering"]


def test_a_resolved_one_is_over(told: Callable[[], list[str]]) -> None:
    begin()
    assert answer(resolved=True).is_completed()
    pass_by(300)
    assert escalate().is_completed()
    assert told() == ["Ann", "Bob"]
    assert incident.find_open("dev") == ()


def test_what_can_wait_is_a_message_and_no_page(told: Callable[[], list[str]]) -> None:
    begin("P3")
    assert told() == ["Ann"]


def test_nobody_who_can_be_told_is_red_and_is_tried_again(told: Callable[[], list[str]]) -> None:
    for block in (USUAL, PAGE):
        Secret.delete(block)
    state = open_incident("dev", "INC-1", "checkout fails", return_state=True)  # type: ignore[call-overload]
    assert state.is_failed()
    with sink() as (address, arrived):
        Secret(value=address).save(USUAL, overwrite=True)
        assert escalate().is_completed()
        assert len(arrived) == 2
    Secret(value="json://127.0.0.1:9/").save(PAGE, overwrite=True)


def test_a_run_that_was_killed_while_it_told_leaves_nobody_out(
    told: Callable[[], list[str]], environment: dict[str, str]
) -> None:
    incident.keep(incident.Incident("INC-1", "dev", "P1", "checkout fails", incident.now()))
    code = killing.run("before:escalate", "flows.escalate_incidents", {}, environment)
    assert (code, told()) == (killing.KILLED, [])
    assert escalate().is_completed()
    assert told() == ["Ann", "Bob"]


def test_an_unknown_incident_is_named_with_those_that_are_open(told: Callable[[], list[str]]) -> None:
    assert "dev has no incident INC-1; open are: none" in str(answer().result(raise_on_failure=False))
