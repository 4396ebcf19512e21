"""Alarms that evaluate: on the lab's clock, where one of AWS's minutes lasts a little more than a second."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.alb import eventually, fresh_clients

ARN = "arn:aws:cloudwatch:eu-north-1:123456789012:alarm:"


@pytest.fixture(scope="module")
def clients(lab: dict[str, Any]) -> Callable[..., Any]:
    return fresh_clients(lab)


@pytest.fixture(scope="module")
def cloudwatch(clients: Callable[..., Any]) -> Any:
    return clients("cloudwatch")


def put(cloudwatch: Any, metric: str, *values: float, **settings: Any) -> None:
    datum = {"MetricName": metric, "Values": list(values), **settings}
    cloudwatch.put_metric_data(Namespace="Demo", MetricData=[datum])


def make(cloudwatch: Any, name: str, **settings: Any) -> None:
    """An alarm on the metric of its name: above 2 in one minute."""
    defaults = {
        "Namespace": "Demo",
        "MetricName": name,
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 2.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    if not {"ExtendedStatistic", "Metrics"} & settings.keys():
        defaults["Statistic"] = "Maximum"
    if "Metrics" in settings:
        for one in ("Namespace", "MetricName", "Period"):
            del defaults[one]
    cloudwatch.put_metric_alarm(AlarmName=name, **{**defaults, **settings})


def described(cloudwatch: Any, name: str) -> dict[str, Any]:
    found = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    (alarm,) = [*found["MetricAlarms"], *found["CompositeAlarms"]]
    return dict(alarm)


def wait_for(cloudwatch: Any, name: str, state: str, meanwhile: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """The alarm once it has this state; `meanwhile` is done again and again until then."""

    def has_it() -> dict[str, Any] | None:
        meanwhile()
        alarm = described(cloudwatch, name)
        return alarm if alarm["StateValue"] == state else None

    found: dict[str, Any] = eventually(has_it, seconds=20.0)
    return found


def changes(cloudwatch: Any, name: str) -> list[str]:
    """Oldest first, of those that evaluation brought."""
    found = cloudwatch.describe_alarm_history(
        AlarmName=name, HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
    )
    return [item["HistorySummary"].removeprefix("Alarm updated from ") for item in found["AlarmHistoryItems"]]


def test_an_alarm_follows_its_metric_and_says_why(cloudwatch: Any) -> None:
    make(cloudwatch, "Depth", DatapointsToAlarm=1)
    assert described(cloudwatch, "Depth")["StateValue"] == "INSUFFICIENT_DATA"
    put(cloudwatch, "Depth", 1.0)
    wait_for(cloudwatch, "Depth", "OK")
    put(cloudwatch, "Depth", 1.0, 3.0)
    alarm = wait_for(cloudwatch, "Depth", "ALARM")
    assert alarm["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [3.0 (")
    told = json.loads(alarm["StateReasonData"])
    assert (told["statistic"], told["period"], told["threshold"], told["recentDatapoints"]) == (
        "Maximum",
        60,
        2.0,
        [3.0],
    )
    assert told["evaluatedDatapoints"][0]["sampleCount"] == 2.0
    assert alarm["StateUpdatedTimestamp"] == alarm["StateTransitionedTimestamp"]
    put(cloudwatch, "Depth", 2.0)
    wait_for(cloudwatch, "Depth", "OK")
    wait_for(cloudwatch, "Depth", "INSUFFICIENT_DATA")
    expected = ["INSUFFICIENT_DATA to OK", "OK to ALARM", "ALARM to OK", "OK to INSUFFICIENT_DATA"]
    assert changes(cloudwatch, "Depth") == expected


def test_without_any_data_missing_data_is_treated_as_the_alarm_says(cloudwatch: Any) -> None:
    states = {"missing": "INSUFFICIENT_DATA", "ignore": "INSUFFICIENT_DATA", "breaching": "ALARM", "notBreaching": "OK"}
    for treatment in states:
        make(cloudwatch, f"silent-{treatment}", TreatMissingData=treatment)
    for treatment in ("breaching", "notBreaching"):
        wait_for(cloudwatch, f"silent-{treatment}", states[treatment])
    found = cloudwatch.describe_alarms(AlarmNamePrefix="silent-")["MetricAlarms"]
    assert {one["AlarmName"].removeprefix("silent-"): one["StateValue"] for one in found} == states


def test_a_state_set_by_hand_lasts_until_the_next_evaluation(cloudwatch: Any) -> None:
    treatments = {"missing": "INSUFFICIENT_DATA", "notBreaching": "OK"}
    for treatment in (*treatments, "ignore"):
        make(cloudwatch, f"drilled-{treatment}", TreatMissingData=treatment)
        cloudwatch.set_alarm_state(AlarmName=f"drilled-{treatment}", StateValue="ALARM", StateReason="a drill")
    for treatment, state in treatments.items():
        wait_for(cloudwatch, f"drilled-{treatment}", state)
    # The evaluation that ended the others has seen this one too.
    assert described(cloudwatch, "drilled-ignore")["StateValue"] == "ALARM"


def test_three_of_five_datapoints_are_needed_when_the_alarm_says_so(cloudwatch: Any) -> None:
    make(cloudwatch, "Flapping", EvaluationPeriods=5, DatapointsToAlarm=3, TreatMissingData="notBreaching")
    wait_for(cloudwatch, "Flapping", "OK")
    alarm = wait_for(cloudwatch, "Flapping", "ALARM", meanwhile=lambda: put(cloudwatch, "Flapping", 3.0))
    reason = alarm["StateReason"]
    assert reason.startswith("Threshold Crossed: 3 out of the last 5 datapoints [3.0 (")
    assert "and 2 missing datapoints were treated as [NonBreaching]" in reason
    assert reason.endswith("(minimum 3 datapoints for OK -> ALARM transition).")


def test_a_period_gathers_what_came_in_during_its_minutes(cloudwatch: Any) -> None:
    make(cloudwatch, "Errors", Statistic="Sum", Period=300, Threshold=50)
    put(cloudwatch, "Errors", 1.0, Counts=[30])
    wait_for(cloudwatch, "Errors", "OK")
    put(cloudwatch, "Errors", 1.0, Counts=[21])
    alarm = wait_for(cloudwatch, "Errors", "ALARM")
    assert json.loads(alarm["StateReasonData"])["recentDatapoints"][-1] == 51.0


def test_a_percentile_is_that_of_the_samples_and_can_wait_for_enough_of_them(cloudwatch: Any) -> None:
    slow_for_some = {"Values": [0.1, 3.0], "Counts": [80, 20]}
    for name in ("Latency", "Patience"):
        cloudwatch.put_metric_data(Namespace="Demo", MetricData=[{"MetricName": name, **slow_for_some}])
    make(cloudwatch, "Median", MetricName="Latency", ExtendedStatistic="p50", TreatMissingData="ignore")
    make(cloudwatch, "Tail", MetricName="Latency", ExtendedStatistic="p95", TreatMissingData="ignore")
    careful = {"EvaluateLowSampleCountPercentile": "ignore", "TreatMissingData": "ignore"}
    make(cloudwatch, "Patience", ExtendedStatistic="p95", **careful)  # p95 asks for 200 samples, here are 100
    wait_for(cloudwatch, "Tail", "ALARM")
    assert described(cloudwatch, "Median")["StateValue"] == "OK"
    assert described(cloudwatch, "Patience")["StateValue"] == "INSUFFICIENT_DATA"


def test_metric_math_is_evaluated(cloudwatch: Any) -> None:
    def stat(identity: str, metric: str) -> dict[str, Any]:
        asked = {"Metric": {"Namespace": "Demo", "MetricName": metric}, "Period": 60, "Stat": "Sum"}
        return {"Id": identity, "MetricStat": asked, "ReturnData": False}

    rate = {"Id": "rate", "Expression": "100 * failed / total", "Label": "Error rate"}
    make(cloudwatch, "Rate", Metrics=[stat("failed", "Failed"), stat("total", "Total"), rate], Threshold=5.0)
    data = [{"MetricName": name, "Value": value} for name, value in (("Failed", 6.0), ("Total", 100.0))]
    cloudwatch.put_metric_data(Namespace="Demo", MetricData=data)
    alarm = wait_for(cloudwatch, "Rate", "ALARM")
    assert "[6.0 (" in alarm["StateReason"]


def test_what_tells_of_long_ago_raises_no_alarm(cloudwatch: Any) -> None:
    make(cloudwatch, "Imported")
    put(cloudwatch, "Imported", 99.0, Timestamp=datetime.now(UTC) - timedelta(hours=1))
    put(cloudwatch, "Imported", 1.0)
    wait_for(cloudwatch, "Imported", "OK")


def test_composite_alarms_follow_their_rule(cloudwatch: Any) -> None:
    for name in ("left", "right"):
        make(cloudwatch, name, TreatMissingData="ignore")
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
    rule = f'ALARM("left") AND NOT ALARM({ARN}right)'
    cloudwatch.put_composite_alarm(AlarmName="outage", AlarmRule=rule)
    cloudwatch.put_composite_alarm(AlarmName="page", AlarmRule="ALARM(outage) OR FALSE")
    created = wait_for(cloudwatch, "page", "OK")
    assert created["StateReason"] == f"{ARN}page was created and its alarm rule evaluates to OK"
    cloudwatch.set_alarm_state(AlarmName="left", StateValue="ALARM", StateReason="a test")
    wait_for(cloudwatch, "page", "ALARM")
    outage = described(cloudwatch, "outage")
    assert outage["StateReason"].startswith(f"{ARN}left transitioned to ALARM at ")
    (triggering,) = json.loads(outage["StateReasonData"])["triggeringAlarms"]
    assert (triggering["arn"], triggering["state"]["value"]) == (f"{ARN}left", "ALARM")
    cloudwatch.set_alarm_state(AlarmName="right", StateValue="ALARM", StateReason="a test")
    wait_for(cloudwatch, "page", "OK")


class TestActions:
    @pytest.fixture
    def inbox(self, clients: Callable[..., Any]) -> tuple[str, Callable[[], list[dict[str, Any]]]]:
        """A topic, and the notifications that its subscriber got since the last look."""
        topic = clients("sns").create_topic(Name="critical")["TopicArn"]
        queue = clients("sqs").create_queue(QueueName="inbox")["QueueUrl"]
        clients("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-north-1:123456789012:inbox")

        def take() -> list[dict[str, Any]]:
            found = clients("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            return [json.loads(one["Body"]) for one in found.get("Messages", [])]

        return topic, take

    def test_a_change_of_state_is_told_to_the_topics_of_that_state(self, cloudwatch: Any, inbox: Any) -> None:
        topic, take = inbox
        dimension = {"Name": "Queue", "Value": "orders"}
        make(cloudwatch, "Backlog", AlarmActions=[topic], Dimensions=[dimension], AlarmDescription="Too long.")
        put(cloudwatch, "Backlog", 9.0, Dimensions=[dimension])
        wait_for(cloudwatch, "Backlog", "ALARM")
        (told,) = eventually(take)
        assert told["Subject"] == 'ALARM: "Backlog" in EU (Stockholm)'
        message = json.loads(told["Message"])
        assert (message["OldStateValue"], message["NewStateValue"]) == ("INSUFFICIENT_DATA", "ALARM")
        assert message["NewStateReason"] == described(cloudwatch, "Backlog")["StateReason"]
        assert (message["AlarmDescription"], message["AlarmArn"]) == ("Too long.", f"{ARN}Backlog")
        trigger = message["Trigger"]
        assert (trigger["MetricName"], trigger["Statistic"], trigger["Threshold"]) == ("Backlog", "MAXIMUM", 2.0)
        assert trigger["Dimensions"] == [{"value": "orders", "name": "Queue"}]
        history = cloudwatch.describe_alarm_history(AlarmName="Backlog", HistoryItemType="Action")
        (item,) = history["AlarmHistoryItems"]
        assert item["HistorySummary"] == f"Successfully executed action {topic}"
        wait_for(cloudwatch, "Backlog", "INSUFFICIENT_DATA")
        assert take() == []  # nobody asked to hear of that

    def test_disabled_actions_are_not_taken_and_a_missing_topic_is_told(self, cloudwatch: Any, inbox: Any) -> None:
        topic, take = inbox
        nowhere = topic.replace("critical", "nowhere")
        make(cloudwatch, "Muted", OKActions=[topic], ActionsEnabled=False, TreatMissingData="notBreaching")
        make(cloudwatch, "Lost", OKActions=[nowhere], TreatMissingData="notBreaching")
        for name in ("Muted", "Lost"):
            wait_for(cloudwatch, name, "OK")
        history = cloudwatch.describe_alarm_history(HistoryItemType="Action")["AlarmHistoryItems"]
        told = {one["AlarmName"]: one["HistorySummary"] for one in history if one["AlarmName"] in ("Muted", "Lost")}
        assert told == {"Lost": f'Failed to execute action {nowhere}. Received error: "Topic does not exist"'}
        assert take() == []


METRIC = {"Namespace": "Demo", "MetricName": "Errors"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "anomaly detection"),
        ({"ExtendedStatistic": "pxy"}, "use a percentile"),
        ({"Metrics": [{"Id": "a", "MetricStat": {"Metric": METRIC, "Period": 60, "Stat": "TM(5%:95%)"}}]}, "Stat 'TM"),
        ({"Metrics": [{"Id": "a", "Expression": "nobody / 2"}]}, "Error in expression"),
        ({"Metrics": [{"Id": "a", "Expression": "ANOMALY_DETECTION_BAND(1, 2)"}]}, "not offered by this lab"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_could_never_be_evaluated_is_refused(cloudwatch: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError) as refused:
        make(cloudwatch, "Odd", **settings)
    assert words in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize("rule", ["ALARM(left", "ALARM(left) NAND ALARM(right)", "AND"])
def test_a_broken_rule_is_refused(cloudwatch: Any, rule: str) -> None:
    with pytest.raises(ClientError, match="AlarmRule is not valid"):
        cloudwatch.put_composite_alarm(AlarmName="broken", AlarmRule=rule)
