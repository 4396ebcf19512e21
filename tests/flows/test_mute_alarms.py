"""Silence that ends by itself: what people are told, and what the sweeper makes of what is left."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.mute_alarms import mute_alarms
from flows.sweep_residue import sweep_residue
from tasks import residue
from tests.stack import DRILL, NAME, UNHEALTHY, Stack

MINUTES = 20  # of AWS's: 24 s here


@pytest.fixture
def pager(stack: Stack) -> Any:
    """What the drill's alarm tells people, since it was asked last."""
    topic = stack.clients("sns").create_topic(Name="pager")["TopicArn"]
    queue = stack.clients("sqs").create_queue(QueueName="pager")["QueueUrl"]
    stack.clients("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-north-1:123456789012:pager")
    put_alarm(stack, DRILL, topic)

    def read() -> int:
        return len(stack.clients("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []))

    return read


def put_alarm(stack: Stack, name: str, action: str) -> None:
    stack.clients("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace=NAME,
        MetricName="Drill",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        AlarmActions=[action],
    )


def mute(**parameters: Any) -> State[Any]:
    return mute_alarms("dev", **{"reason": "INC-7", "minutes": MINUTES, **parameters}, return_state=True)  # type: ignore[call-overload,no-any-return]


def rules(stack: Stack) -> list[str]:
    found = stack.clients("cloudwatch").list_alarm_mute_rules()["AlarmMuteRuleSummaries"]
    return [one["Status"] for one in found]


def test_a_muted_alarm_is_seen_by_the_runbook_told_to_nobody_and_told_when_the_time_is_over(
    stack: Stack, pager: Any
) -> None:
    assert mute().is_completed()
    stack.raise_alarm()
    assert (pager(), rules(stack)) == (0, ["ACTIVE"])
    stack.wait_until(lambda: rules(stack) == ["EXPIRED"])
    stack.wait_until(pager)


def test_ended_at_once_it_tells_at_once_and_twice_is_fine(stack: Stack, pager: Any) -> None:
    assert mute(minutes=1440, alarms=[DRILL]).is_completed()
    stack.raise_alarm()
    assert pager() == 0
    assert mute(end=True, dry_run=True).is_completed()
    assert rules(stack) == ["ACTIVE"]
    for _ in range(2):
        assert mute(end=True).is_completed()
    assert rules(stack) == []
    stack.wait_until(pager)


def test_what_a_scaling_policy_follows_a_stranger_and_no_reason_are_refused(stack: Stack) -> None:
    put_alarm(stack, "TargetTracking-demo", "arn:aws:sns:eu-north-1:123456789012:any")
    policy = stack.clients("autoscaling").put_scaling_policy(
        AutoScalingGroupName=stack.asg, PolicyName="out", AdjustmentType="ChangeInCapacity", ScalingAdjustment=1
    )["PolicyARN"]
    put_alarm(stack, UNHEALTHY, policy)
    for told, parameters in {
        "scale the group": {"alarms": [UNHEALTHY]},
        "TargetTracking-demo are not alarms of": {"alarms": ["TargetTracking-demo"]},
        "no reason is given": {"reason": " ", "alarms": [DRILL]},
    }.items():
        assert told in str(mute(**parameters).result(raise_on_failure=False))
    assert rules(stack) == []


def test_the_sweeper_leaves_a_mute_its_time_and_removes_it_after(stack: Stack) -> None:
    assert mute(minutes=1440).is_completed()
    assert sweep_residue("dev", return_state=True).is_completed()  # type: ignore[call-overload]
    assert rules(stack) == ["ACTIVE"]
    (rule,) = stack.clients("cloudwatch").list_alarm_mute_rules()["AlarmMuteRuleSummaries"]
    past = datetime.now(UTC) - timedelta(minutes=1)
    tags = residue.as_list(residue.tags("mute-alarms", past, "dev"))
    stack.clients("cloudwatch").tag_resource(ResourceARN=rule["AlarmMuteRuleArn"], Tags=tags)
    assert sweep_residue("dev", return_state=True).is_completed()  # type: ignore[call-overload]
    assert rules(stack) == []


def test_the_same_alarms_in_another_order_are_the_same_plan(stack: Stack) -> None:
    one, other = (mute(dry_run=True, alarms=alarms).result() for alarms in ([UNHEALTHY, DRILL], [DRILL, UNHEALTHY]))
    assert one == other
    assert rules(stack) == []
