"""An instance refresh undoes itself when an alarm that watches it is raised by what the load balancer sees."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import alb
from tests.lab.groups import Account, Group, eventually


@pytest.fixture(scope="module")
def account(lab: dict[str, Any]) -> Account:
    return Account(lab)


@pytest.fixture
def stack(account: Account) -> alb.Stack:
    stack = alb.Stack(account.client, "release")
    stack.group = stack.target_group("instances", TargetType="instance")
    stack.listen()
    return stack


@pytest.fixture
def group(account: Account, stack: alb.Stack) -> Iterator[Group]:
    """Two instances that serve. Those that follow them will not: nothing listens on their addresses."""
    group = account.group().create(2, TargetGroupARNs=[stack.group], HealthCheckType="ELB", HealthCheckGracePeriod=3600)
    reservations = group.ec2.describe_instances(InstanceIds=group.ids())["Reservations"]
    addresses = [instance["PrivateIpAddress"] for one in reservations for instance in one["Instances"]]
    backends = [alb.Backend(address) for address in addresses]
    stack.wait("target_in_service")
    yield group
    for backend in backends:
        backend.stop()


@pytest.fixture
def alarm(account: Account, stack: alb.Stack) -> str:
    account.client("cloudwatch").put_metric_alarm(
        AlarmName="unhealthy-hosts",
        Namespace="AWS/ApplicationELB",
        MetricName="UnHealthyHostCount",
        Dimensions=[
            {"Name": "LoadBalancer", "Value": stack.arn.split("loadbalancer/")[1]},
            {"Name": "TargetGroup", "Value": stack.group.rsplit(":", 1)[1]},
        ],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=2,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    return "unhealthy-hosts"


def test_a_release_whose_targets_fail_raises_the_alarm_and_is_rolled_back(
    account: Account, stack: alb.Stack, group: Group, alarm: str
) -> None:
    cloudwatch, before = account.client("cloudwatch"), group.ids()

    def state() -> str:
        (found,) = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
        return str(found["StateValue"])

    eventually(lambda: state() == "OK")
    group.refresh(
        group.new_version(),
        MinHealthyPercentage=100,
        MaxHealthyPercentage=200,
        AutoRollback=True,
        AlarmSpecification={"Alarms": [alarm]},
    )
    found = group.wait_refresh("RollbackSuccessful")
    assert f"The CloudWatch alarms {alarm} are in ALARM state" in found["RollbackDetails"]["RollbackReason"]
    assert (sorted(group.ids()), group.versions()) == (sorted(before), ["1", "1"])
    history = cloudwatch.describe_alarm_history(AlarmName=alarm, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    assert "Alarm updated from OK to ALARM" in [one["HistorySummary"] for one in history]
    assert stack.health() == [("healthy", None)] * 2
    eventually(lambda: state() == "OK")
