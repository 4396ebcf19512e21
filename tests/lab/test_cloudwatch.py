"""CloudWatch's numbers: percentiles, math, alarms' history, and what a load balancer tells of its traffic."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.load import Load
from tests.lab.alb import Backend, Stack, certificate_and_key, eventually, fresh_clients

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def clients(lab: dict[str, Any]) -> Callable[..., Any]:
    return fresh_clients(lab)


@pytest.fixture(scope="module")
def cloudwatch(clients: Callable[..., Any]) -> Any:
    return clients("cloudwatch")


@pytest.fixture
def backend() -> Iterator[Backend]:
    one = Backend("127.200.3.1")
    yield one
    one.stop()


def put(cloudwatch: Any, name: str, *values: float, **settings: Any) -> None:
    datum = {"MetricName": name, "Values": list(values), "Timestamp": NOW, **settings}
    cloudwatch.put_metric_data(Namespace="Demo", MetricData=[datum])


def statistics(cloudwatch: Any, namespace: str, name: str, **settings: Any) -> list[dict[str, Any]]:
    window = {"StartTime": NOW - timedelta(minutes=5), "EndTime": datetime.now(UTC) + timedelta(minutes=1)}
    asked = {"Namespace": namespace, "MetricName": name, "Period": 3600, **window, **settings}
    points: list[dict[str, Any]] = cloudwatch.get_metric_statistics(**asked)["Datapoints"]
    return points


def data(cloudwatch: Any, *queries: dict[str, Any]) -> list[list[float]]:
    window = {"StartTime": NOW - timedelta(minutes=5), "EndTime": NOW + timedelta(minutes=1)}
    results = cloudwatch.get_metric_data(MetricDataQueries=list(queries), **window)["MetricDataResults"]
    return [result["Values"] for result in results]


def query(identity: str, name: str, stat: str, **settings: Any) -> dict[str, Any]:
    metric = {"Namespace": "Demo", "MetricName": name}
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}, **settings}


def refusal(call: Callable[..., Any], *arguments: Any, **settings: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(*arguments, **settings)
    code: str = refused.value.response["Error"]["Code"]
    return code


def test_percentiles_are_those_of_the_samples(cloudwatch):
    put(cloudwatch, "Latency", *range(1, 101))
    (point,) = statistics(cloudwatch, "Demo", "Latency", ExtendedStatistics=["p50", "p95", "p99.9"])
    assert point["ExtendedStatistics"] == {"p50": 50.0, "p95": 95.0, "p99.9": 100.0}
    assert data(cloudwatch, query("a", "Latency", "p99"), query("b", "Latency", "Average")) == [[99.0], [50.5]]


def test_a_count_stands_for_that_many_samples(cloudwatch):
    put(cloudwatch, "Weighted", 1.0, 10.0, Counts=[95, 5])
    asked = ["SampleCount", "Sum", "Maximum"]
    (point,) = statistics(cloudwatch, "Demo", "Weighted", Statistics=asked)
    assert [point[name] for name in asked] == [100.0, 145.0, 10.0]
    assert data(cloudwatch, query("a", "Weighted", "p95"), query("b", "Weighted", "p96")) == [[1.0], [10.0]]


def test_statistics_that_aws_refuses_are_refused(cloudwatch):
    def ask(**settings: Any) -> str:
        return refusal(statistics, cloudwatch, "Demo", "Latency", **settings)

    assert ask(Statistics=["Average"], ExtendedStatistics=["p95"]) == "InvalidParameterCombination"
    assert ask(Statistics=["Average,Maximum"]) == "ValidationError"
    assert ask(ExtendedStatistics=["p101"]) == "InvalidParameterValue"
    assert ask(Statistics=["Average"], Period=61) == "InvalidParameterValue"
    assert ask(Statistics=["Average"], Period=1, StartTime=NOW - timedelta(hours=1)) == "InvalidParameterCombination"
    assert refusal(data, cloudwatch, query("a", "Latency", "median")) == "ValidationError"


def test_dimensions_are_matched_whole(cloudwatch):
    put(cloudwatch, "Requests", 1.0, Dimensions=[{"Name": "A", "Value": "1"}])
    put(cloudwatch, "Requests", 2.0, Dimensions=[{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}])
    (point,) = statistics(cloudwatch, "Demo", "Requests", Dimensions=[{"Name": "A", "Value": "1"}], Statistics=["Sum"])
    assert point["Sum"] == 1.0
    assert statistics(cloudwatch, "Demo", "Requests", Statistics=["Sum"]) == []
    listed = cloudwatch.list_metrics(Namespace="Demo", MetricName="Requests")["Metrics"]
    assert sorted(len(metric["Dimensions"]) for metric in listed) == [1, 2]


def test_an_error_rate_can_be_calculated(cloudwatch):
    put(cloudwatch, "Errors", 1.0, 1.0)
    put(cloudwatch, "All", 1.0, Counts=[8])
    both = [query("e", "Errors", "Sum", ReturnData=False), query("n", "All", "Sum", ReturnData=False)]
    rate = {"Id": "rate", "Expression": "100 * e / n"}
    guarded = {"Id": "guarded", "Expression": "IF(n > 10, e / n, 0)"}
    total = {"Id": "total", "Expression": "SUM([e, n])"}
    assert data(cloudwatch, *both, rate, guarded, total) == [[25.0], [0.0], [10.0]]
    assert refusal(data, cloudwatch, {"Id": "x", "Expression": "nobody / 2"}) == "ValidationError"


def test_a_new_alarm_has_insufficient_data_and_keeps_its_state_when_changed(cloudwatch):
    make_alarm(cloudwatch, "slow", 1.0)
    assert state_of(cloudwatch, "slow") == "INSUFFICIENT_DATA"
    cloudwatch.set_alarm_state(AlarmName="slow", StateValue="ALARM", StateReason="a drill")
    make_alarm(cloudwatch, "slow", 2.0)
    assert state_of(cloudwatch, "slow") == "ALARM"
    history = cloudwatch.describe_alarm_history(AlarmName="slow")["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in history] == [
        'Alarm "slow" updated',
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        'Alarm "slow" created',
    ]
    cloudwatch.delete_alarms(AlarmNames=["slow"])
    updates = cloudwatch.describe_alarm_history(AlarmName="slow", HistoryItemType="StateUpdate")
    assert len(updates["AlarmHistoryItems"]) == 1
    assert cloudwatch.describe_alarms(AlarmNames=["slow"])["MetricAlarms"] == []


def test_composite_alarms_stand_on_alarms_that_exist_and_are_listed_when_asked_for(cloudwatch):
    make_alarm(cloudwatch, "errors", 1.0)
    cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule='ALARM("errors")')
    assert cloudwatch.describe_alarms()["CompositeAlarms"] == []
    (found,) = cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert (found["AlarmName"], found["AlarmRule"]) == ("both", 'ALARM("errors")')
    broken = {"AlarmName": "broken", "AlarmRule": "ALARM(nobody)"}
    assert refusal(cloudwatch.put_composite_alarm, **broken) == "ValidationError"


def test_a_certificate_tells_how_many_days_are_left(cloudwatch, clients):
    certificate, key = certificate_and_key("ending.example", days=12)
    arn = clients("acm").import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    asked = {"Dimensions": [{"Name": "CertificateArn", "Value": arn}], "Statistics": ["Minimum"]}
    (point,) = eventually(lambda: statistics(cloudwatch, "AWS/CertificateManager", "DaysToExpiry", **asked))
    assert point["Minimum"] == 12.0


def test_a_load_balancers_traffic_arrives_with_the_percentiles_its_clients_saw(cloudwatch, clients, backend):
    stack = Stack(clients)
    url = stack.serve(backend)
    with Load(f"{url}/sleep/0.05", rate=50, seconds=4) as load:
        load.wait()
    balancer = [{"Name": "LoadBalancer", "Value": stack.arn.split("loadbalancer/")[1]}]
    both = [*balancer, {"Name": "TargetGroup", "Value": stack.group.rsplit(":", 1)[1]}]

    def ask(name: str, dimensions: Any, **settings: Any) -> dict[str, Any]:
        points = statistics(cloudwatch, "AWS/ApplicationELB", name, Dimensions=dimensions, **settings)
        return points[0] if points else {}

    sent = load.result["sent"]
    eventually(lambda: ask("RequestCount", both, Statistics=["Sum"]).get("Sum") == sent)
    assert ask("HTTPCode_Target_2XX_Count", balancer, Statistics=["Sum"])["Sum"] == sent
    assert ask("HealthyHostCount", both, Statistics=["Maximum"])["Maximum"] == 1.0
    assert ask("NewConnectionCount", balancer, Statistics=["Sum"])["Sum"] > 0
    assert not ask("HTTPCode_ELB_5XX_Count", balancer, Statistics=["Sum"])
    times = ask("TargetResponseTime", balancer, ExtendedStatistics=["p50", "p95"])["ExtendedStatistics"]
    for name, seconds in times.items():
        assert 50 <= seconds * 1000 <= load.result["milliseconds"][name] + 1  # the backend's time; a client sees more


def test_what_the_load_balancer_answers_itself_is_counted_apart(cloudwatch, clients):
    stack = Stack(clients, "empty")
    stack.listen()
    with Load(f"http://{stack.host}/", rate=20, seconds=1) as load:
        load.wait()
    asked = {
        "Dimensions": [{"Name": "LoadBalancer", "Value": stack.arn.split("loadbalancer/")[1]}],
        "Statistics": ["Sum"],
    }
    unavailable = load.result["by_status"]["503"]

    def counted(name: str) -> list[float]:
        return [point["Sum"] for point in statistics(cloudwatch, "AWS/ApplicationELB", name, **asked)]

    for name in ("HTTPCode_ELB_503_Count", "HTTPCode_ELB_5XX_Count"):
        eventually(lambda name=name: counted(name) == [unavailable])
    assert statistics(cloudwatch, "AWS/ApplicationELB", "RequestCount", **asked) == []


def make_alarm(cloudwatch: Any, name: str, threshold: float = 1.0) -> None:
    """On a metric that has no data and never changes the state: it stays as SetAlarmState left it."""
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Demo",
        MetricName="Silence",
        ExtendedStatistic="p95",
        TreatMissingData="ignore",
        Period=60,
        EvaluationPeriods=1,
        Threshold=threshold,
        ComparisonOperator="GreaterThanThreshold",
    )


def state_of(cloudwatch: Any, name: str) -> str:
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    state: str = alarm["StateValue"]
    return state


def test_the_filters_of_describe_alarms_hold_together(client: Any) -> None:
    cloudwatch = client("cloudwatch")
    for name in ("a-1", "a-2", "b-1"):
        make_alarm(cloudwatch, name)
    for name in ("a-1", "b-1"):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")

    def names(**filters: Any) -> list[str]:
        return [alarm["AlarmName"] for alarm in cloudwatch.describe_alarms(**filters)["MetricAlarms"]]

    assert names(AlarmNames=["a-1", "a-2"], StateValue="ALARM") == ["a-1"]
    assert names(AlarmNamePrefix="a-", StateValue="ALARM") == ["a-1"]
    assert names(AlarmNames=["a-2"], StateValue="ALARM") == []
