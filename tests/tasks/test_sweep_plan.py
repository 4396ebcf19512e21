"""What a sweep does with each thing: decided from the thing, its run and the time alone."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.errors import VerificationFailed
from tasks.flow_runs import RunState
from tasks.residue import SNAPSHOT_FLOW, Residue, tags
from tasks.sweep_plan import plan_sweep

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
RUNS = {"running": RunState("Running", True), "crashed": RunState("Crashed", False)}


def thing(
    run: str, hours_left: int = 1, guard: str = "", kind: str = "RDS instance", flow: str = "verify-backup"
) -> Residue:
    return Residue(kind, f"copy-of-{run}", run, flow, NOW + timedelta(hours=hours_left), NOW, guard)


@pytest.mark.parametrize(
    ("one", "verdict", "because"),
    [
        (thing("running"), "leave", "its run is Running"),
        (thing("running", hours_left=0), "remove", "expired"),
        (thing("crashed"), "remove", "its run ended Crashed"),
        (thing("unheard-of"), "leave", "--include-unexpired"),
        (thing("unheard-of", hours_left=-1), "remove", "expired"),
        (thing("running", guard="it is protected"), "leave", "its run is Running"),
        (thing("crashed", guard="it is protected"), "refuse", "it is protected"),
        (thing("crashed", kind="RDS snapshot"), "remove", "its run ended Crashed"),
        (thing("crashed", kind="RDS snapshot", flow=SNAPSHOT_FLOW), "leave", "kept until it expires"),
        (thing("crashed", -1, kind="RDS snapshot", flow=SNAPSHOT_FLOW), "remove", "expired"),
    ],
)
def test_each_thing_gets_its_verdict_with_a_reason(one: Residue, verdict: str, because: str) -> None:
    (decision,) = plan_sweep([one], RUNS, NOW).decisions
    assert decision.verdict == verdict
    assert because in decision.because


def test_including_the_unexpired_takes_unknown_runs_only() -> None:
    kept = thing("unheard-of", kind="RDS snapshot", flow=SNAPSHOT_FLOW)
    plan = plan_sweep([thing("running"), thing("unheard-of"), kept], RUNS, NOW, include_unexpired=True)
    assert [one.verdict for one in plan.decisions] == ["leave", "remove", "leave"]


def test_what_was_due_and_is_still_there_is_named_with_what_to_do() -> None:
    protected = thing("crashed", guard="lift its protection")
    plan = plan_sweep([protected, thing("running")], RUNS, NOW)
    plan.require_gone([thing("running")])
    with pytest.raises(VerificationFailed, match=r"residue: 1, expected 0.*copy-of-crashed.*lift its protection"):
        plan.require_gone([protected])


def test_the_tags_say_until_when_in_utc_and_refuse_a_time_without_a_zone() -> None:
    made = tags("verify_backup", datetime.fromisoformat("2026-11-24T11:30:00+02:00"), "dev")
    assert made["runbook:expires-at"] == "2026-11-24T09:30:00Z"
    assert (made["runbook:flow"], made["Environment"]) == ("verify-backup", "dev")
    assert made["runbook:run-id"]
    with pytest.raises(ValueError, match="expected a time with its zone"):
        tags("verify_backup", datetime.fromisoformat("2026-11-24T11:30:00"))
