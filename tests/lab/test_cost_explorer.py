"""Cost Explorer as boto3 sees it: groups, filters, pages, estimates, refusals; and sums that are exact."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

TODAY = datetime.now(UTC).date()
THIS_MONTH = TODAY.replace(day=1)
LAST_MONTH = (THIS_MONTH - timedelta(1)).replace(day=1)
BEFORE = (LAST_MONTH - timedelta(1)).replace(day=1)
DAYS = (TODAY - BEFORE).days
EC2, RDS = "Amazon Elastic Compute Cloud - Compute", "Amazon Relational Database Service"
SERVICE = {"Type": "DIMENSION", "Key": "SERVICE"}
ENVIRONMENT = {"Type": "TAG", "Key": "Environment"}


def series(service: str, amount: str, **more: Any) -> dict[str, Any]:
    told = {"service": service, "usage_type": f"EUN1-{service[-3:]}", "first": BEFORE.isoformat(), "unit": "Hrs"}
    return {**told, "unblended": [[amount, DAYS]], "quantity": [["24", DAYS]], **more}


@pytest.fixture
def tell(call_tool: Callable[..., Any]) -> Callable[..., None]:
    def tell(*told: dict[str, Any], **more: Any) -> None:
        call_tool("POST", "/lab/costs", {"series": list(told), **more})

    return tell


@pytest.fixture
def ce(client: Callable[..., Any]) -> Any:
    return client("ce", region_name="us-east-1")


def ask(ce: Any, start: date = LAST_MONTH, end: date = THIS_MONTH, **more: Any) -> Any:
    asked = {"TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()}, "Granularity": "MONTHLY"}
    return ce.get_cost_and_usage(**{**asked, "Metrics": ["UnblendedCost"], **more})


def groups(answer: Any, metric: str = "UnblendedCost") -> dict[str, Decimal]:
    found = answer["ResultsByTime"][0]["Groups"]
    return {"/".join(one["Keys"]): Decimal(one["Metrics"][metric]["Amount"]) for one in found}


def code(ce: Any, **asked: Any) -> str:
    with pytest.raises(ClientError) as refused:
        ask(ce, **asked)
    return str(refused.value.response["Error"]["Code"])


def test_sums_by_service_tag_and_day_are_the_same_money(ce: Any, tell: Callable[..., None]) -> None:
    tell(
        series(EC2, "1.2345678901", tags={"Environment": "dev", "Owner": "ann"}),
        series(EC2, "0.0000000003", tags={"Environment": "prod"}, usage_type="EUN1-Other"),
        series(RDS, "3.1", amortized=[["2.9", DAYS]]),
        series(RDS, "-1", record_type="Credit"),
    )
    days = (THIS_MONTH - LAST_MONTH).days
    total = Decimal("3.3345678904") * days
    assert Decimal(ask(ce)["ResultsByTime"][0]["Total"]["UnblendedCost"]["Amount"]) == total
    by_service = groups(ask(ce, GroupBy=[SERVICE]))
    assert by_service == {EC2: Decimal("1.2345678904") * days, RDS: Decimal("2.1") * days}
    by_tag = groups(ask(ce, GroupBy=[ENVIRONMENT]))
    assert set(by_tag) == {"Environment$dev", "Environment$prod", "Environment$"}
    assert sum(by_tag.values()) == total
    assert set(groups(ask(ce, GroupBy=[{"Type": "TAG", "Key": "Owner"}]))) == {"Owner$"}, "it was never activated"
    daily = ask(ce, Granularity="DAILY")["ResultsByTime"]
    assert len(daily) == days
    assert sum(Decimal(one["Total"]["UnblendedCost"]["Amount"]) for one in daily) == total
    usage = {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Usage"]}}
    amortized = groups(ask(ce, GroupBy=[SERVICE], Filter=usage, Metrics=["AmortizedCost"]), "AmortizedCost")
    assert amortized[RDS] == Decimal("2.9") * days
    both = {"And": [usage, {"Not": {"Tags": {"Key": "Environment", "Values": ["dev"]}}}]}
    assert groups(ask(ce, GroupBy=[SERVICE, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}], Filter=both)) == {
        f"{EC2}/EUN1-Other": Decimal("0.0000000003") * days,
        f"{RDS}/EUN1-ice": Decimal("3.1") * days,
    }


def test_closed_months_are_final_and_this_one_is_an_estimate(ce: Any, tell: Callable[..., None]) -> None:
    tell(series(EC2, "1"))
    found = ask(ce, BEFORE, TODAY + timedelta(1))["ResultsByTime"]
    assert [one["Estimated"] for one in found] == [False, False, True]


def test_many_groups_come_in_pages_of_one_request(ce: Any, tell: Callable[..., None]) -> None:
    tell(*[series(f"Service {n:04}", "0.01") for n in range(3000)])
    first = ask(ce, BEFORE, THIS_MONTH, GroupBy=[SERVICE])
    second = ask(ce, BEFORE, THIS_MONTH, GroupBy=[SERVICE], NextPageToken=first["NextPageToken"])
    assert "NextPageToken" not in second
    seen = [
        (result["TimePeriod"]["Start"], one["Keys"][0])
        for page in (first, second)
        for result in page["ResultsByTime"]
        for one in result["Groups"]
    ]
    assert len(seen) == len(set(seen)) == 6000
    token = first["NextPageToken"]
    assert code(ce, NextPageToken=token, GroupBy=[SERVICE]) == "RequestChangedException"
    assert code(ce, NextPageToken="x!") == "InvalidNextTokenException"


def test_it_refuses_as_aws_does(ce: Any, client: Callable[..., Any], tell: Callable[..., None]) -> None:
    assert code(ce) == "DataUnavailableException"
    tell(series(EC2, "1"))
    assert code(ce, start=THIS_MONTH, end=THIS_MONTH) == "ValidationException"
    assert code(ce, start=date(2020, 1, 1)) == "ValidationException"
    assert code(ce, GroupBy=[SERVICE, ENVIRONMENT, SERVICE]) == "ValidationException"
    assert code(ce, Metrics=["Cost"]) == "ValidationException"
    assert code(client("ce", signature_version="v4")) == "InvalidSignatureException"
    tell(series(EC2, "1"), enabled=False)
    assert code(ce) == "AccessDeniedException"


def test_a_forecast_has_an_interval_and_needs_four_weeks(ce: Any, tell: Callable[..., None]) -> None:
    end = (THIS_MONTH + timedelta(days=62)).replace(day=1)
    asked = {"TimePeriod": {"Start": TODAY.isoformat(), "End": end.isoformat()}, "Metric": "UNBLENDED_COST"}
    tell(series(EC2, "2"))
    found = ce.get_cost_forecast(**asked, Granularity="MONTHLY", PredictionIntervalLevel=80)
    assert Decimal(found["Total"]["Amount"]) == 2 * (end - TODAY).days
    assert set(found["ForecastResultsByTime"][0]) > {"PredictionIntervalLowerBound", "PredictionIntervalUpperBound"}
    tell({**series(EC2, "2"), "first": (TODAY - timedelta(5)).isoformat()})
    with pytest.raises(ce.exceptions.DataUnavailableException):
        ce.get_cost_forecast(**asked, Granularity="MONTHLY")


def test_anomalies_are_those_that_were_told(ce: Any, tell: Callable[..., None]) -> None:
    monitor = {"MonitorArn": "arn:aws:ce::1:anomalymonitor/1", "MonitorName": "all", "MonitorType": "DIMENSIONAL"}
    anomaly = {"AnomalyId": "1", "AnomalyStartDate": LAST_MONTH.isoformat(), "AnomalyEndDate": LAST_MONTH.isoformat()}
    anomaly |= {"AnomalyScore": {"MaxScore": 0.9, "CurrentScore": 0.9}, "Impact": {"MaxImpact": 12.5}}
    tell(series(EC2, "2"), monitors=[monitor], anomalies=[{**anomaly, "MonitorArn": monitor["MonitorArn"]}])
    assert ce.get_anomaly_monitors()["AnomalyMonitors"][0]["MonitorName"] == "all"
    for start, expected in ((LAST_MONTH, 1), (THIS_MONTH, 0)):
        assert len(ce.get_anomalies(DateInterval={"StartDate": start.isoformat()})["Anomalies"]) == expected


def test_a_bill_is_of_what_exists_and_a_month_of_storage_costs_the_same_whatever_its_days(
    ce: Any, client: Callable[..., Any], call_tool: Callable[..., Any], tell: Callable[..., None]
) -> None:
    kind = {"productFamily": "Storage", "usagetype": "EUN1-EBS:VolumeUsage.gp3", "regionCode": "eu-north-1"}
    call_tool("POST", "/lab/prices", {"AmazonEC2": [{"dollars": "0.08", "unit": "GB-Mo", "attributes": kind}]})
    volume = client("ec2").create_volume(AvailabilityZone="eu-north-1a", Size=100, VolumeType="gp3")["VolumeId"]
    (line,) = call_tool("GET", "/lab/bill")["lines"]
    assert (line["resource"], Decimal(line["dollars_a_year"])) == (volume, 96)
    tell()
    call_tool("POST", "/lab/bill", {"first": str(BEFORE), "end": str(THIS_MONTH)})
    client("ec2").delete_volume(VolumeId=volume)
    assert call_tool("GET", "/lab/bill")["lines"] == []
    for start, end in ((BEFORE, LAST_MONTH), (LAST_MONTH, THIS_MONTH)):
        found = groups(ask(ce, start, end, GroupBy=[SERVICE]))
        assert found.keys() == {"EC2 - Other"}
        assert abs(found["EC2 - Other"] - 8) < Decimal("0.000001")
