"""When a change is allowed, slowed down or refused: decided from plain values, and from CloudWatch's metrics."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks import change_calendar, error_budget, gate
from tasks.change_calendar import read_calendar
from tasks.error_budget import PAGES, PERIOD, TICKETS, Budget, Served
from tasks.finding import Finding, Verdict

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ALB = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:loadbalancer/app/demo/50dc6c495c0c9188"
WINDOWS = (*(timedelta(minutes=m) for m in (5, 30, 60, 360)), timedelta(days=3), PERIOD)


def decide(environment: str, verdict: Verdict, component: str = "alarms", **how: Any) -> str:
    purpose, risk = how.get("purpose", "change"), how.get("risk", "low")
    found = (Finding("calendar", "ok", "no freeze"), Finding(component, verdict, "seen"))
    return gate.decide(environment, found, purpose, risk).answer


@pytest.mark.parametrize(
    ("verdict", "low", "high"),
    [("ok", "allow", "allow"), ("warn", "slow", "slow"), ("fail", "refuse", "refuse"), ("unknown", "slow", "refuse")],
)
def test_unknown_is_not_ok_for_what_is_risky_in_production(verdict: Verdict, low: str, high: str) -> None:
    assert decide("prod", verdict) == low
    assert decide("prod", verdict, risk="high") == high


def test_what_nobody_was_promised_holds_nothing_back_and_a_broken_promise_refuses_what_is_risky() -> None:
    for component in gate.PROMISES:
        assert decide("dev", "fail", component, risk="high") == "allow"
        assert decide("prod", "warn", component) == "slow"
        assert decide("prod", "warn", component, risk="high") == "refuse"
    assert decide("dev", "unknown", risk="high") == "allow"


def test_a_cure_is_not_held_back_and_says_what_it_goes_on_despite() -> None:
    found = (Finding("alarms", "fail", "unhealthy-hosts fires"),)
    decision = gate.decide("prod", found, "cure", "high")
    assert decision.answer == "allow"
    assert "unhealthy-hosts fires" in str(decision)


def budget(**failed: float) -> Budget:
    """Of a thousand requests in each window, by the window's name such as m5, h6, d30."""
    names = dict(zip(("m5", "m30", "h1", "h6", "d3", "d30"), WINDOWS, strict=True))
    return Budget({window: Served(1000, failed.get(name, 0)) for name, window in names.items()})


def test_a_burn_counts_only_when_it_still_goes_on() -> None:
    assert budget(h1=15, m5=15).burning(PAGES) == (pytest.approx(15), timedelta(hours=1))
    assert budget(h1=500, m5=0).burning(PAGES) is None
    assert budget(h1=0, m5=500).burning(PAGES) is None
    assert budget(h6=11, m30=11).burning(PAGES) == (pytest.approx(11), timedelta(hours=6))
    assert budget(d3=10, h6=10).burning(TICKETS) == (pytest.approx(10), timedelta(days=3))


def test_a_few_failures_among_few_requests_say_nothing() -> None:
    assert Served(9, 9).burn == 0
    assert Served(10, 10).burn == pytest.approx(1000)


def test_what_is_left_of_the_budget_is_a_share_of_thirty_days() -> None:
    assert Budget({PERIOD: Served(100_000, 50)}).left == pytest.approx(0.5)
    assert Budget({PERIOD: Served(100_000, 200)}).left == pytest.approx(-1)
    assert "-100 % of the error budget is left: 200 of 100000 requests failed" in str(
        Budget({PERIOD: Served(100_000, 200)})
    )


def test_the_windows_are_read_from_the_load_balancer_s_metrics_its_own_errors_included(
    account: dict[str, Any], client: Callable[[str], Any]
) -> None:
    now = datetime.now(UTC)
    assert not error_budget.read_budget(ALB, now).is_used

    def put(ago: timedelta, **values: int) -> None:
        dimensions = [{"Name": "LoadBalancer", "Value": "app/demo/50dc6c495c0c9188"}]
        data = [
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Timestamp": now - ago, "Unit": "Count"}
            for name, value in values.items()
        ]
        client("cloudwatch").put_metric_data(Namespace="AWS/ApplicationELB", MetricData=data)

    put(timedelta(days=10), RequestCount=90_000)
    put(timedelta(minutes=45), RequestCount=900, HTTPCode_Target_5XX_Count=20)
    put(timedelta(minutes=2), RequestCount=100, HTTPCode_ELB_5XX_Count=30)
    seen = error_budget.read_budget(ALB, now).windows
    assert seen[timedelta(minutes=5)] == Served(130, 30)
    assert seen[timedelta(hours=1)] == seen[timedelta(hours=6)] == Served(1030, 50)
    assert seen[PERIOD] == Served(91_030, 50)


FREEZE = """
window: {{day: Sun, opens: "02:00", minutes: 180}}
freezes:
  - {{from: {begins}, until: {ends}, environments: [prod], because: Christmas trade}}
"""


def test_a_freeze_is_for_its_environments_from_its_first_to_its_last_moment(tmp_path: Path) -> None:
    file = tmp_path / "calendar.yaml"
    file.write_text(FREEZE.format(begins="2026-12-23T00:00:00Z", ends="2026-12-27T00:00:00Z"))
    calendar, begins = read_calendar(file), datetime(2026, 12, 23, tzinfo=UTC)
    assert "until 2026-12-27 00:00 UTC: Christmas trade" in str(calendar.freeze("prod", begins))
    assert calendar.freeze("dev", begins) is None
    assert calendar.freeze("prod", begins - timedelta(seconds=1)) is None
    assert calendar.freeze("prod", begins + timedelta(days=4)) is None


@pytest.mark.parametrize(
    ("begins", "ends", "wrong"),
    [
        ("2026-12-27T00:00:00Z", "2026-12-23T00:00:00Z", "ends before it begins"),
        ("2026-12-23T00:00:00", "2026-12-27T00:00:00", "no time zone"),
    ],
)
def test_a_freeze_that_would_freeze_nothing_is_refused(tmp_path: Path, begins: str, ends: str, wrong: str) -> None:
    file = tmp_path / "calendar.yaml"
    file.write_text(FREEZE.format(begins=begins, ends=ends))
    with pytest.raises(ValueError, match=wrong):
        read_calendar(file)


def test_the_calendar_that_we_ship_can_be_read() -> None:
    assert change_calendar.read_calendar().window.length == timedelta(hours=3)
