"""Alarm mute rules: silence with an end, as CloudWatch's API reference tells of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.alb import eventually, fresh_clients

TOPIC = "arn:aws:sns:eu-north-1:123456789012:pager"


@pytest.fixture(scope="module")
def clients(lab: dict[str, Any]) -> Callable[..., Any]:
    made = fresh_clients(lab)
    made("sns").create_topic(Name="pager")
    queue = made("sqs").create_queue(QueueName="pager")["QueueUrl"]
    made("sns").subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint="arn:aws:sqs:eu-north-1:123456789012:pager")
    made("sqs").purge_queue(QueueUrl=queue)
    return made


@pytest.fixture
def alarm(clients: Callable[..., Any], request: pytest.FixtureRequest) -> str:
    """Nothing feeds its metric: it has the state that it is given."""
    name = request.node.name[:200]
    clients("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Demo",
        MetricName=name,
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        AlarmActions=[TOPIC],
    )
    return name


def mute(clients: Callable[..., Any], alarm: str, duration: str, ahead: int = 0, **settings: Any) -> None:
    begins = datetime.now(UTC) + timedelta(minutes=ahead)
    rule = {"Schedule": {"Expression": f"at({begins:%Y-%m-%dT%H:%M})", "Duration": duration}}
    targets = {"AlarmNames": [alarm]}
    clients("cloudwatch").put_alarm_mute_rule(Name="quiet", Rule=rule, MuteTargets=targets, **settings)


def raise_it(clients: Callable[..., Any], alarm: str) -> None:
    clients("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")


def told(clients: Callable[..., Any], alarm: str) -> bool:
    queue = clients("sqs").get_queue_url(QueueName="pager")["QueueUrl"]
    found = clients("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return any(alarm in one["Body"] for one in found)


def status(clients: Callable[..., Any]) -> str:
    return str(clients("cloudwatch").get_alarm_mute_rule(AlarmMuteRuleName="quiet")["Status"])


def test_a_muted_alarm_changes_its_state_tells_nobody_and_makes_up_for_it_when_the_time_is_over(
    clients: Callable[..., Any], alarm: str
) -> None:
    mute(clients, alarm, "PT3M")
    assert status(clients) == "ACTIVE"
    raise_it(clients, alarm)
    time.sleep(0.5)
    described = clients("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
    assert (described["StateValue"], described["ActionsEnabled"]) == ("ALARM", True)
    assert not told(clients, alarm)
    eventually(lambda: status(clients) == "EXPIRED")
    eventually(lambda: told(clients, alarm))


def test_a_deleted_rule_unmutes_at_once_and_one_that_is_not_there_is_deleted_too(
    clients: Callable[..., Any], alarm: str
) -> None:
    mute(clients, alarm, "P15D")
    raise_it(clients, alarm)
    for _ in range(2):
        clients("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName="quiet")
    eventually(lambda: told(clients, alarm))
    with pytest.raises(clients("cloudwatch").exceptions.ResourceNotFoundException):
        status(clients)


def test_a_rule_waits_for_its_time_and_is_listed_by_alarm_and_status(clients: Callable[..., Any], alarm: str) -> None:
    mute(clients, alarm, "PT1H", ahead=600, Tags=[{"Key": "why", "Value": "a test"}])
    assert status(clients) == "SCHEDULED"
    listed = clients("cloudwatch").list_alarm_mute_rules
    (one,) = listed(AlarmName=alarm, Statuses=["SCHEDULED"])["AlarmMuteRuleSummaries"]
    assert one["MuteType"] == "ONE_TIME"
    tags = clients("cloudwatch").list_tags_for_resource(ResourceARN=one["AlarmMuteRuleArn"])["Tags"]
    assert tags == [{"Key": "why", "Value": "a test"}]
    assert listed(AlarmName="another")["AlarmMuteRuleSummaries"] == []
    raise_it(clients, alarm)
    eventually(lambda: told(clients, alarm))


@pytest.mark.parametrize("duration", ["PT0M", "P16D", "an hour"])
def test_what_is_too_short_too_long_or_no_duration_is_refused(
    clients: Callable[..., Any], alarm: str, duration: str
) -> None:
    with pytest.raises(ClientError, match="PT1M and P15D"):
        mute(clients, alarm, duration)
    with pytest.raises(ClientError, match="must match existing alarms"):
        mute(clients, "no-such-alarm", "PT1H")


def test_an_alarm_that_is_well_again_when_its_mute_ends_tells_that_and_not_what_was_before(
    clients: Callable[..., Any], alarm: str
) -> None:
    mute(clients, alarm, "P15D")
    raise_it(clients, alarm)
    clients("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="a test")
    clients("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName="quiet")
    time.sleep(0.5)
    assert not told(clients, alarm)
