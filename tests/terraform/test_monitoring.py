"""Alarms and the dashboard: everything the runbook lists, in the metric's own unit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.conftest import run_tests

Resource = dict[str, Any]
All = Callable[[str, str], dict[str, Resource]]

GIBIBYTE = 2**30
# name: (metric, statistic, comparison, threshold in the metric's own unit, minutes)
CRITICAL = {
    "unhealthy-hosts": ("UnHealthyHostCount", "Maximum", "GreaterThanThreshold", 0, 5),
    "high-5xx-errors": ("HTTPCode_Target_5XX_Count", "Sum", "GreaterThanThreshold", 50, 5),
    "db-cpu-high": ("CPUUtilization", "Average", "GreaterThanThreshold", 90, 10),
    "db-storage-low": ("FreeStorageSpace", "Minimum", "LessThanThreshold", 10 * GIBIBYTE, 5),
    "slow-responses": ("TargetResponseTime", "p95", "GreaterThanThreshold", 1.0, 10),
    # what the runbook's own five cannot see: an outage without any target
    "no-healthy-hosts": ("HealthyHostCount", "Maximum", "LessThanThreshold", 1, 2),
    "high-elb-5xx-errors": ("HTTPCode_ELB_5XX_Count", "Sum", "GreaterThanThreshold", 50, 5),
}
WARNING = {
    "cpu-high": ("CPUUtilization", "Average", "GreaterThanThreshold", 70, 15),
    "db-connections-high": ("DatabaseConnections", "Maximum", "GreaterThanThreshold", 160, 5),
    "slow-responses-warning": ("TargetResponseTime", "p95", "GreaterThanThreshold", 0.5, 15),
}
DASHBOARD = {
    "AWS/ApplicationELB": {
        "TargetResponseTime",
        "HTTPCode_Target_2XX_Count",
        "HTTPCode_Target_5XX_Count",
        "UnHealthyHostCount",
        "ActiveConnectionCount",
    },
    "AWS/AutoScaling": {"GroupDesiredCapacity", "GroupInServiceInstances", "GroupMinSize", "GroupMaxSize"},
    "AWS/EC2": {"CPUUtilization", "NetworkIn", "NetworkOut", "StatusCheckFailed"},
    "AWS/RDS": {
        "CPUUtilization",
        "DatabaseConnections",
        "FreeStorageSpace",
        "ReadLatency",
        "WriteLatency",
        "ReplicaLag",
    },
}


@pytest.mark.parametrize(("severity", "expected"), [("critical", CRITICAL), ("warning", WARNING)])
def test_prod_s_alarms_are_the_runbook_s(resources: All, severity: str, expected: dict[str, tuple[Any, ...]]) -> None:
    found = {
        alarm["alarm_name"].removeprefix("demo-flask-app-prod-"): (
            alarm["metric_name"],
            alarm["statistic"] or alarm["extended_statistic"],
            alarm["comparison_operator"],
            alarm["threshold"],
            alarm["period"] * alarm["evaluation_periods"] / 60,
        )
        for alarm in resources("prod", "aws_cloudwatch_metric_alarm").values()
        if alarm["tags"]["Severity"] == severity
    }
    assert found == expected


def test_the_outputs_name_every_alarm(resources: All, planned: Callable[[str], dict[str, Any]]) -> None:
    outputs = planned("prod")["output_changes"]
    named = outputs["critical_alarm_names"]["after"] + outputs["warning_alarm_names"]["after"]
    assert sorted(named) == sorted(a["alarm_name"] for a in resources("prod", "aws_cloudwatch_metric_alarm").values())


@pytest.fixture(scope="module")
def dashboard(initialized: Callable[[str], Path]) -> list[dict[str, Any]]:
    events = run_tests(initialized("modules/monitoring"), "-verbose")
    plan = next(e["test_plan"] for e in events if e["type"] == "test_plan")
    (change,) = [c for c in plan["resource_changes"] if c["type"] == "aws_cloudwatch_dashboard"]
    widgets: list[dict[str, Any]] = json.loads(change["change"]["after"]["dashboard_body"])["widgets"]
    return widgets


def test_the_dashboard_shows_every_metric_that_the_runbook_lists(dashboard: list[dict[str, Any]]) -> None:
    shown: dict[str, set[str]] = {}
    for widget in dashboard:
        for namespace, metric, *_ in widget["properties"]["metrics"]:
            shown.setdefault(namespace, set()).add(metric)
    missing = {namespace: metrics - shown.get(namespace, set()) for namespace, metrics in DASHBOARD.items()}
    assert not any(missing.values()), missing


def test_the_dashboard_shows_three_percentiles_of_the_response_time(dashboard: list[dict[str, Any]]) -> None:
    metrics = [metric for widget in dashboard for metric in widget["properties"]["metrics"]]
    assert [m[-1]["stat"] for m in metrics if m[1] == "TargetResponseTime"] == ["p50", "p95", "p99"]


def test_the_dashboard_s_graphs_do_not_cover_each_other(dashboard: list[dict[str, Any]]) -> None:
    corners = [(widget["x"], widget["y"]) for widget in dashboard]
    assert len(set(corners)) == len(corners)
