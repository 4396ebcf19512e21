"""What a scorecard says of plain journals: no AWS."""

from dataclasses import fields, replace
from typing import Any
from xml.etree import ElementTree

import pytest

from tasks import scorecard
from tasks.drill import BlastRadius, Target, plan_drill
from tasks.drill_journal import Journal, Mark
from tasks.environment import Environment
from tasks.scenarios import SCENARIOS
from tasks.traffic import BUDGET_SECONDS, Traffic

SCENARIO = replace(SCENARIOS["lost-instance"], rto_seconds=60, rpo_seconds=5)
RADIUS = BlastRadius((Target("EC2 instance", "i-1"),), "nothing", 0.02)
NOWHERE: dict[str, Any] = {field.name: "" for field in fields(Environment)}
WHERE = Environment(**{**NOWHERE, "environment": "dev", "critical_alarm_names": ("dev-unhealthy-hosts",)})
NAMES = ("broken", "detected", "decided", "restored", "verified")


def marks(*seconds: float, boots: str = "aaaaa") -> list[Mark]:
    """Each machine's monotonic clock begins somewhere else; the wall clock is the same for all."""
    found = zip(NAMES, seconds, boots, strict=False)
    return [
        Mark(name, int((at + 1000 * ord(boot)) * 1e9) + 123_457, int((at + 1.8e9) * 1e9), boot)
        for name, at, boot in found
    ]


def journal(*seconds: float, boots: str = "aaaaa", **facts: Any) -> Journal:
    made = Journal("run-1", SCENARIO.name, "hash", WHERE, RADIUS, "2026-11-24T09:00:00+00:00")
    made.marks = marks(*seconds, boots=boots)
    for name, value in {"outcome": "proven", "ended_at": "2026-11-24T09:05:00+00:00", **facts}.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("boots", ["aaaaa", "aabbb", "abcde"])
def test_phases_add_up_to_the_rto_exactly_also_across_a_resume(boots: str) -> None:
    one = journal(0, 1.0004, 3.3335, 20.7777, 21.1119, boots=boots)
    phases = scorecard.phase_milliseconds(one.marks)
    assert list(phases) == ["detect", "decide", "recover", "verify"]
    assert scorecard.rto_seconds(one) == sum(phases.values()) / 1000 == pytest.approx(21.111, abs=0.0011)


def test_what_did_not_recover_has_no_rto() -> None:
    assert scorecard.rto_seconds(journal(0, 1, 2)) is None
    assert "| RTO, target 60 s | not recovered |" in "\n".join(
        scorecard.page(SCENARIO, journal(0, 1, 2, outcome="failed"), SCENARIOS, [])
    )


def test_missed_targets_and_gaps_are_named() -> None:
    late = journal(0, 1, 2, 60, 61, lost_seconds=6.0, traffic=Traffic(60, 0, 60.0))
    assert [reason[-6:] for reason in scorecard.find_misses(SCENARIO, late)] == [" (RTO)", " (RPO)"]
    assert not scorecard.find_misses(SCENARIO, journal(0, 1, 2, 59, 60, lost_seconds=5.0))
    gaps = scorecard.find_gaps(SCENARIO, journal(0, 1, 2, 3, 4, boots="aabbb"), [])
    assert [gap.split()[0] for gap in gaps] == ["no", "it", "how", "what"]
    assert not scorecard.find_gaps(SCENARIO, late, ["dev-unhealthy-hosts"])


def test_the_next_drill_is_one_that_was_never_proven_then_the_oldest_proof() -> None:
    def proof(scenario: str, day: int, outcome: str = "proven") -> Journal:
        return journal(scenario=scenario, ended_at=f"2026-11-{day}T09:00:00", outcome=outcome)

    past = [proof("a", 20), proof("b", 10), proof("c", 15, "failed"), proof("b", 21)]
    assert scorecard.next_drill("abc", past) == "c, never proven"
    assert scorecard.next_drill("ab", past) == "a, last proven 2026-11-20T09:00"


def test_the_trend_is_a_picture_with_a_bar_per_drill_and_the_target() -> None:
    past = [
        journal(0, 1, 2, 3, 30),
        journal(0, 1, 2, outcome="failed"),
        journal(0, 1, 2, 3, 90, outcome="failed"),
        journal(outcome="unfinished"),
        journal(0, 1, 2, 3, 4, scenario="bad-release"),
    ]
    root = ElementTree.fromstring(scorecard.trend(SCENARIO, past))  # noqa: S314 - our own
    bars = [one.attrib for one in root if one.tag.endswith("rect")]
    texts = [one.text for one in root if one.tag.endswith("text")]
    assert [bar["fill"] for bar in bars] == ["#2a7", "#c33", "#c33"]
    assert [round(float(bar["height"])) for bar in bars] == [40, 120, 120]
    assert [text for text in texts if text and text.endswith("s")] == ["30 s", "90 s", "target 60 s"]
    assert scorecard.as_image("<svg/>", "x") == "![x](data:image/svg+xml;base64,PHN2Zy8+)"


def test_the_error_budget_is_spent_by_failed_requests() -> None:
    assert (Traffic(5, 0, 5.0) + Traffic(5, 5, 5.0)).failed_seconds == 5.0
    assert Traffic(10, 10, BUDGET_SECONDS).budget_spent == pytest.approx(100)
    assert Traffic().budget_spent == 0


def test_another_target_is_another_plan() -> None:
    plan = plan_drill(SCENARIO, "prod", RADIUS)
    other = plan_drill(SCENARIO, "prod", replace(RADIUS, targets=(Target("EC2 instance", "i-2"),)))
    assert plan.hash == plan_drill(SCENARIO, "prod", RADIUS).hash != other.hash
    assert "EC2 instance i-1 in prod" in str(plan)
    assert "0.02 USD" in str(plan)
