"""The page that people look at, and the policy that RDS is held to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks import backup_policy, evidence
from tasks.environment import Environment
from tasks.evidence import Evidence
from tasks.rds import DBInstance, Settings
from tasks.report import Phase, Report
from tasks.verdict import Verdict

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GOOD, BAD = Verdict("L1 catalogue", (), ("65 things",)), Verdict("L3 content", ("7 differs in a|b",), ("9 rows",))
DB = DBInstance(
    "db",
    "available",
    multi_az=True,
    engine_version="15.7",
    encrypted=True,
    backup_retention_days=30,
    latest_restorable_time=NOW - timedelta(minutes=5),
    parameters="in-sync",
    pending=(),
    settings=Settings("db.t3.small", "subnets", ("sg-1",), "group", 5432, "gp3", False, False, ()),
    arn="arn",
    address="db.example.com",
    database="demo_db",
    master_user="postgres",
    storage_gib=20,
    kms_key="key",
    deletion_protection=True,
    tags={},
    resource_id="db-ONE",
    zone="eu-north-1a",
    standby_zone="eu-north-1b",
)


def environment(name: str) -> Environment:
    texts = dict.fromkeys(Environment.__dataclass_fields__, "")
    return Environment(**{**texts, "environment": name, "critical_alarm_names": (), "warning_alarm_names": ()})  # type: ignore[arg-type]


def run(seconds: float, *verdicts: Verdict) -> Evidence:
    return Evidence("run", NOW.isoformat(), "snapshot s", seconds, 12.0, verdicts)


def test_each_layer_has_its_verdict_and_each_run_its_bar() -> None:
    page = list(evidence.page(run(600, GOOD, BAD), [run(300, GOOD), run(600, GOOD, BAD)]))
    assert "| L1 catalogue | verified | 65 things |" in page
    assert "| L3 content | **NOT VERIFIED** | 7 differs in a\\|b<br>9 rows |" in page
    bars = [line.count("█") for line in page if "█" in line]
    assert bars == [15, 30]
    assert [line.split("|")[2].strip() for line in page if "█" in line] == ["yes", "NO"]


def test_the_usual_restore_time_is_the_median_of_the_past() -> None:
    assert evidence.usual_restore_seconds([run(s) for s in (1200, 600, 700)]) == 700
    assert evidence.usual_restore_seconds([]) is None


def test_a_table_behind_a_list_is_a_table() -> None:
    report = Report("verify_backup", {}, [Phase("verdict", lines=["| a |", "|---|", "* of s", "| b |", "|---|"])])
    assert "\n| a |\n|---|\n\n* of s\n\n| b |\n|---|\n" in report.markdown()


def test_a_database_that_is_backed_up_as_terraform_says_is_well() -> None:
    assert backup_policy.judge_policy(environment("prod"), DB, NOW).is_good


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("prod", {"backup_retention_days": 7}, "kept 7 days, expected 30"),
        ("dev", {"backup_retention_days": 1}, "kept 1 days, expected 7"),
        ("dev", {"encrypted": False}, "not encrypted"),
        ("dev", {"latest_restorable_time": None}, "no point in time to restore to"),
        ("dev", {"latest_restorable_time": NOW - timedelta(hours=2)}, "7200 s old, expected at most 900 s"),
        ("prod", {"deletion_protection": False}, "deletion protection is off"),
    ],
)
def test_a_backup_policy_that_is_not_kept_is_told(name: str, changed: dict[str, object], words: str) -> None:
    (reason,) = backup_policy.judge_policy(environment(name), replace(DB, **changed), NOW).reasons  # type: ignore[arg-type]
    assert words in reason
