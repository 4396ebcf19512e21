"""Terraform's alarms as PutMetricAlarm takes them, read from the module itself: without a provider or a plan."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).parents[2] / "terraform" / "modules" / "monitoring"
UNWATCHED = {"name": "demo", "alert_email": "ops@example.com", "error_metric": {"namespace": "demo", "name": "Errors"}}


def terraform_alarms(folder: Path, **variables: Any) -> dict[str, dict[str, Any]]:
    """By the name behind the environment's. `folder` is empty and becomes Terraform's."""
    if shutil.which("terraform") is None:
        pytest.skip("no terraform on the PATH")
    locals_only = (MODULE / "main.tf").read_text().partition('\nresource "')[0]
    (folder / "main.tf").write_text(locals_only)
    shutil.copy(MODULE / "variables.tf", folder)
    (folder / "terraform.tfvars.json").write_text(json.dumps(UNWATCHED | variables))
    command = ["terraform", "console"]
    asked = subprocess.run(
        command, cwd=folder, input="jsonencode(local.alarms)", check=True, capture_output=True, text=True
    )
    alarms: dict[str, dict[str, Any]] = json.loads(json.loads(asked.stdout))
    return {name: _settings(alarm) for name, alarm in alarms.items()}


def _settings(alarm: dict[str, Any]) -> dict[str, Any]:
    namespace, metric, statistic = alarm["metric"]
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "ExtendedStatistic" if statistic.startswith("p") else "Statistic": statistic,
        "Dimensions": [{"Name": name, "Value": value} for name, value in alarm["dimensions"].items()],
        "ComparisonOperator": alarm["comparison"],
        "Threshold": alarm["threshold"],
        "Period": alarm["period"],
        "EvaluationPeriods": alarm["periods"],
        "TreatMissingData": alarm["missing"],
    }
