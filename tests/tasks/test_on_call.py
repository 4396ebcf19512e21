"""Who is told of what, and when: the runbook's rota and escalation path."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tasks.on_call import DATA, OnCall, Shift, read_on_call

MONDAY = datetime(2026, 11, 23, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "shift"),
    [
        (0, Shift("Engineer A", "Engineer B", "Manager X")),
        (2, Shift("Engineer A", "Engineer B", "Manager X")),
        (3, Shift("Engineer B", "Engineer C", "Manager X")),
        (6, Shift("Engineer C", "Engineer A", "Manager Y")),
    ],
)
def test_the_day_says_who_is_on_call(days: int, shift: Shift) -> None:
    assert read_on_call().shift(MONDAY + timedelta(days=days)) == shift


def test_an_override_is_for_its_day_alone() -> None:
    plain = read_on_call()
    override = {"date": date(2026, 11, 23), "primary": "ada", "secondary": "bob", "manager": "cy"}
    rota = OnCall(plain.rota, (override,), plain.escalation)
    assert rota.shift(MONDAY).primary == "ada"
    assert rota.shift(MONDAY + timedelta(days=1)).primary == "Engineer A"


@pytest.mark.parametrize(
    ("priority", "minutes", "acknowledged", "resolved", "told"),
    [
        ("P3", 600, False, False, ["Engineer A"]),
        ("P2", 0, False, False, ["Engineer A"]),
        ("P2", 15, False, False, ["Engineer A", "Engineer B"]),
        ("P2", 15, True, False, ["Engineer A"]),
        ("P2", 60, True, False, ["Engineer A", "Engineer B"]),  # "unresolved P2 after 1 hour"
        ("P2", 60, True, True, ["Engineer A"]),
        ("P1", 0, False, False, ["Engineer A", "Engineer B"]),
        ("P0", 0, False, False, ["Manager X", "Engineer A"]),
        ("P0", 240, True, False, ["Manager X", "Engineer A", "VP Engineering"]),  # "extended outages (>4 hours)"
        ("P0", 240, True, True, ["Manager X", "Engineer A"]),
    ],
)
def test_an_incident_climbs_until_somebody_has_it(
    priority: str, minutes: int, acknowledged: bool, resolved: bool, told: list[str]
) -> None:
    now = MONDAY + timedelta(minutes=minutes)
    due = read_on_call().due(priority, MONDAY, now, acknowledged=acknowledged, resolved=resolved)  # type: ignore[arg-type]
    assert [step.who for step in due] == told


def test_a_step_is_for_whoever_is_on_call_when_its_time_comes() -> None:
    late = datetime(2026, 11, 25, 23, 50, tzinfo=UTC)
    due = read_on_call().due("P2", late, late + timedelta(hours=1), acknowledged=False, resolved=False)
    assert [step.who for step in due] == ["Engineer A", "Engineer C", "Engineer C"]


@pytest.mark.parametrize("broken", ["a day twice", "a day without anybody", "a priority without a path"])
def test_data_with_which_nobody_would_be_told_is_refused(broken: str, tmp_path: Path) -> None:
    data = yaml.safe_load(DATA.read_text())
    if broken == "a day twice":
        data["rota"][1]["days"].append("Mon")
    elif broken == "a day without anybody":
        data["rota"].pop()
    else:
        data["escalation"]["P1"] = []
    (tmp_path / "on_call.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ValueError, match="expected"):
        read_on_call(tmp_path / "on_call.yaml")
