"""The runbook's quick reference, asserted on what Terraform would really make."""

from collections.abc import Callable
from typing import Any, get_args

import pytest

from tasks.export_tasks import KeptDays

Resource = dict[str, Any]
One = Callable[[str, str], Resource]
All = Callable[[str, str], dict[str, Resource]]

ENVIRONMENTS = pytest.mark.parametrize("environment", ["dev", "prod"])


@pytest.mark.parametrize(
    ("environment", "cidr", "zones", "nat_gateways"), [("dev", "10.0.0.0/16", 2, 1), ("prod", "10.1.0.0/16", 3, 3)]
)
def test_network(resource: One, resources: All, environment: str, cidr: str, zones: int, nat_gateways: int) -> None:
    assert resource(environment, "aws_vpc")["cidr_block"] == cidr
    assert len(resources(environment, "aws_nat_gateway")) == nat_gateways
    tiers: dict[str, set[str]] = {}
    for subnet in resources(environment, "aws_subnet").values():
        tiers.setdefault(subnet["tags"]["Tier"], set()).add(subnet["availability_zone"])
    assert {tier: len(found) for tier, found in tiers.items()} == {
        "public": zones,
        "private": zones,
        "database": zones,
    }


@pytest.mark.parametrize(
    ("environment", "instance_type", "smallest", "largest"), [("dev", "t3.micro", 1, 2), ("prod", "t3.small", 2, 10)]
)
def test_instances(resource: One, environment: str, instance_type: str, smallest: int, largest: int) -> None:
    assert resource(environment, "aws_launch_template")["instance_type"] == instance_type
    group = resource(environment, "aws_autoscaling_group")
    assert (group["min_size"], group["max_size"]) == (smallest, largest)


@pytest.mark.parametrize(
    ("environment", "instance_class", "multi_az", "backup_days", "protected"),
    [("dev", "db.t3.micro", False, 7, False), ("prod", "db.t3.small", True, 30, True)],
)
def test_database(
    resource: One, environment: str, instance_class: str, multi_az: bool, backup_days: int, protected: bool
) -> None:
    database = resource(environment, "aws_db_instance")
    assert database["instance_class"] == instance_class
    assert database["multi_az"] is multi_az
    assert database["backup_retention_period"] == backup_days
    assert database["deletion_protection"] is protected
    assert database["skip_final_snapshot"] is not protected
    assert (database["engine"], database["engine_version"].split(".")[0]) == ("postgres", "15")
    assert (database["db_name"], database["username"], database["port"]) == ("demo_db", "postgres", 5432)


@pytest.mark.parametrize(("environment", "days"), [("dev", 14), ("prod", 90)])
def test_logs_are_kept(resources: All, environment: str, days: int) -> None:
    groups = {
        group["name"]: group["retention_in_days"]
        for group in resources(environment, "aws_cloudwatch_log_group").values()
    }
    assert groups == {
        f"/aws/ec2/demo-flask-app-{environment}": days,
        f"/aws/rds/instance/demo-flask-app-{environment}-db/postgresql": days,
        f"/aws/rds/instance/demo-flask-app-{environment}-db/upgrade": days,
    }


@ENVIRONMENTS
def test_the_alarm_on_connections_follows_the_parameter_group(resource: One, resources: All, environment: str) -> None:
    parameters = resource(environment, "aws_db_parameter_group")["parameter"]
    (connections,) = [int(p["value"]) for p in parameters if p["name"] == "max_connections"]
    (alarm,) = [
        alarm
        for alarm in resources(environment, "aws_cloudwatch_metric_alarm").values()
        if alarm["metric_name"] == "DatabaseConnections"
    ]
    assert alarm["threshold"] == connections * 0.8


@ENVIRONMENTS
def test_an_export_expires_after_each_number_of_days_that_can_be_asked_for(resource: One, environment: str) -> None:
    rules = resource(environment, "aws_s3_bucket_lifecycle_configuration")["rule"]
    days = {rule["filter"][0].get("prefix"): rule["expiration"][0].get("days") for rule in rules}
    assert {prefix: kept for prefix, kept in days.items() if prefix and prefix.startswith("exports/")} == {
        f"exports/{kept}-days/": kept for kept in get_args(KeptDays)
    }


def test_only_prod_is_open_to_the_world(resources: All) -> None:
    def ranges(environment: str) -> set[str]:
        (group,) = [g for g in resources(environment, "aws_security_group").values() if g["name"].endswith("-alb-sg")]
        return {block for rule in group["ingress"] for block in rule["cidr_blocks"]}

    assert ranges("prod") == {"0.0.0.0/0"}
    assert "0.0.0.0/0" not in ranges("dev")
