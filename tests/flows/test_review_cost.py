"""The cost review on an account whose costs and waste are known: what it says, what it asks, and what it can't know."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import httpx
import pytest
from prefect import get_client
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import State

from flows.accept_recommendation import accept_recommendation
from flows.refresh_prices import refresh_prices
from flows.review_cost import review_cost
from tasks import evidence, past_runs
from tasks.evidence import Evidence
from tasks.month import Month
from tests import account as known
from tests import killing
from tests.account import BUCKET, EC2, LAST_MONTH, MONTH_BEFORE, OTHER, RDS, THIS_MONTH, TODAY, noisy, series, steady

Tell = Callable[..., Any]


@pytest.fixture
def tell(account: dict[str, Any], call_tool: Callable[..., Any], client: Callable[..., Any]) -> Tell:
    """An account with an environment; `tell(series, ...)` is what it has cost."""
    known.build_account(client)
    call_tool("POST", "/lab/prices", known.price_list())
    return lambda *told, **more: call_tool("POST", "/lab/costs", {"series": list(told), **more})


def usual() -> list[dict[str, Any]]:
    """A growing service, a weekly one, one that ended, one that appeared, a credit and what nobody tagged."""
    ended = (LAST_MONTH - known.FIRST_MONTH).days
    return [
        series(EC2, "EUN1-BoxUsage:t4g.micro", noisy(1, 3.0, growth=0.03)),
        series(RDS, "EUN1-InstanceUsage:db.t4g.micro", noisy(2, 2.0, weekend=0.6), amortized=steady_text("1.5")),
        series(OTHER, "EUN1-NatGateway-Hours", steady("1.104"), tags={"Environment": "prod"}),
        series("Amazon Simple Queue Service", "EUN1-Requests", steady("0.50")[:ended]),
        series("Amazon Bedrock", "EUN1-Tokens", steady("4.00", LAST_MONTH), first=LAST_MONTH, tags={}),
        series(EC2, "EUN1-BoxUsage:t4g.micro", steady("-0.75"), record_type="Credit"),
        series("Tax", "Tax", steady("0.31"), record_type="Tax", tags={}),
        series(RDS, "EUN1-InstanceUsage:db.t4g.micro", ["-0.50"], first=LAST_MONTH, record_type="Refund"),
    ]


def steady_text(amount: str) -> list[str]:
    return [str(one) for one in steady(amount)]


def review(**parameters: Any) -> State[Any]:
    return review_cost("dev", return_state=True, **parameters)  # type: ignore[call-overload,no-any-return]


def page() -> str:
    """The report; whatever it is of, it adds up."""
    text = read_page()
    require_adding_up(text)
    return text


def read_page() -> str:
    with get_client(sync_client=True) as prefect:
        return str(httpx.get(f"{prefect.api_url}artifacts/review-cost-dev/latest").raise_for_status().json()["data"])


def rows(text: str, heading: str) -> list[list[str]]:
    """The rows of the table whose first line holds `heading`."""
    after = text[text.index(heading) :].splitlines()[2:]
    table = after[: next((n for n, line in enumerate(after) if not line.startswith("|")), len(after))]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table]


def paid(call_tool: Callable[..., Any]) -> int:
    return sum(count for name, count in call_tool("GET", "/lab/counts").items() if name.startswith("ce:"))


def money(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def spent(told: list[dict[str, Any]], first: date, end: date) -> Decimal:
    total = Decimal(0)
    for one in told:
        begin = date.fromisoformat(one["first"])
        for number, amount in enumerate(one["unblended"]):
            total += Decimal(amount) if first <= begin + timedelta(number) < end else 0
    return total


def require_adding_up(text: str) -> None:
    """Every table with a before and an after: the rows are the total, and before with the change is after."""
    for heading in (
        "| service |",
        "| driver |",
        "| kind of charge |",
        "| environment | before |",
        "| project | before |",
    ):
        if heading not in text:
            continue
        table = rows(text, heading)
        at = next(n for n, cell in enumerate(table[0]) if cell.replace(",", "").replace(".", "").lstrip("-").isdigit())
        numbers = [[money(cell) for cell in row[at : at + 3]] for row in table if row[0] != "total"]
        assert all(before + change == after for before, after, change in numbers), heading
        sums = [sum(column) for column in zip(*numbers, strict=True)]
        total = next(([money(x) for x in row[at : at + 3]] for row in table if row[0] == "total"), sums)
        assert total == sums, heading


def test_a_review_says_what_was_spent_and_why_to_the_cent(
    tell: Tell, call_tool: Callable[..., Any], client: Callable[..., Any]
) -> None:
    told = usual()
    tell(*told)
    verified(client)
    assert review(budget=200).is_completed()
    text = page()
    assert next(row[5] for row in rows(text, "| service |") if row[0] == RDS) == "verification: 1"
    assert next(row[6] for row in rows(text, "| driver |") if row[0] == RDS) == "verification: 1"
    assert rows(text, "| our own run |")[0][1:] == ["verification of now", "unknown", "0.50 hours"]
    assert rows(text, "| what we did | times |") == [["verification", "1", "", "1"]]
    total = rows(text, "| service |")[-1]
    for shown, first, end in ((total[1], MONTH_BEFORE, LAST_MONTH), (total[2], LAST_MONTH, THIS_MONTH)):
        assert abs(money(shown) - spent(told, first, end)) <= Decimal("0.005")
    drivers = {row[1]: row for row in rows(text, "| driver |")}
    assert drivers["EUN1-Tokens"][5] == "new"
    assert drivers["EUN1-Requests"][5] == "ended"
    assert {row[0] for row in rows(text, "| kind of charge |")} == {"Usage", "Credit", "Refund", "Tax"}
    assert {row[0] for row in rows(text, "| environment | before |")} == {"dev", "prod", "not tagged"}
    assert len(rows(text, "| month |")) == known.MONTHS
    assert text.count("](data:image/svg+xml;base64,") == 2
    for words in (
        "will cost",
        f"in {LAST_MONTH:%Y-%m}, dev spent",
        "this month, dev has spent",
        "a burn rate of",
        "no channel",
        "amortized",
    ):
        assert words in text
    for words in ("Cost Optimization Hub is not used", "AWS Compute Optimizer is not used"):
        assert words in text
    first = paid(call_tool)
    assert f"asking Cost Explorer took {first} paid requests: $0.0{first}" in text
    assert first <= 7
    assert review().is_completed()
    assert paid(call_tool) - first <= 3, "what is closed is asked once"
    require_kept(client)


def verified(client: Callable[..., Any]) -> None:
    """What a verification of a backup in the reviewed month has left."""
    ended_at = datetime.combine(LAST_MONTH + timedelta(3), time(6), UTC).isoformat()
    one = Evidence("a-run", ended_at, "now", restore_seconds=1200, verify_seconds=600, verdicts=())
    client("s3").put_object(Bucket=BUCKET, Key=evidence._key(one.run_id), Body=json.dumps(asdict(one)))


def require_kept(client: Callable[..., Any]) -> None:
    below = f"cost/reports/dev/{LAST_MONTH:%Y-%m}"
    html, table = (
        client("s3").get_object(Bucket=BUCKET, Key=f"{below}/{name}")["Body"].read().decode()
        for name in ("index.html", "focus.csv")
    )
    assert html.count("<svg") == 2
    assert table.splitlines()[0].startswith("BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart")


def test_without_cost_explorer_the_rest_is_told_and_the_run_is_red(
    tell: Tell, call_tool: Callable[..., Any], client: Callable[..., Any]
) -> None:
    refresh_prices("dev")
    client("ec2").allocate_address(Domain="vpc")
    tell(*usual(), enabled=False)
    state = review()
    assert state.is_failed()
    assert "Cost Explorer is not enabled in this account" in str(state.message)
    assert "release an unused address: eipalloc-" in page()
    tell(*usual())
    for code, message, words in (
        ("AccessDeniedException", "User: x is not authorized", "may not ce:GetCostAndUsage"),
        ("LimitExceededException", "Too many", "throttles this account"),
    ):
        call_tool("POST", "/lab/faults", {"match": "ce:.*", "kind": "error", "code": code, "message": message})
        state = review()
        assert state.is_failed()
        assert words in str(state.message)
        httpx.delete(f"{client('ce').meta.endpoint_url}/lab/faults").raise_for_status()
    denied = {"kind": "error", "code": "UnauthorizedOperation", "message": "no", "times": 1}
    call_tool("POST", "/lab/faults", {"match": "ec2:DescribeVolumes", **denied})
    assert review().is_completed()
    assert "disks, snapshots and logs were not looked at" in page()
    later = {"match": "ce:.*", "kind": "error", "code": "AccessDeniedException", "message": "no longer"}
    call_tool("POST", "/lab/faults", later)
    assert review().is_completed(), "what is kept of closed months is enough for a review of one"
    for words in ("may not ce:GetCostAndUsage", "why it changed"):
        assert words in page()


def test_what_is_not_there_is_said(tell: Tell) -> None:
    untagged = [{**one, "tags": {}} for one in usual()]
    tell(*untagged)
    assert review(budget=200).is_completed()
    for words in ("no cost carries the tag Environment", "of its budget of 200.00 is unknown"):
        assert words in page()
    first = [series(EC2, "EUN1-BoxUsage:t4g.micro", steady("2.00", LAST_MONTH), first=LAST_MONTH)]
    forget(tell, *first)
    assert review().is_completed()
    assert "is the first month with costs" in page()
    early = [series(EC2, "EUN1-BoxUsage:t4g.micro", steady("2.00")[: (LAST_MONTH - known.FIRST_MONTH).days])]
    forget(tell, *early)
    assert review().is_completed()
    assert "nothing was billed" in page()
    forget(tell, *usual(), final_until=MONTH_BEFORE.isoformat())
    assert review().is_completed()
    assert "is not closed yet" in page()


def forget(tell: Tell, *told: dict[str, Any], **more: Any) -> None:
    """Another account's history: what was kept of the one before counts no more."""
    import boto3  # noqa: PLC0415

    bucket = boto3.session.Session().resource("s3").Bucket(BUCKET)
    bucket.objects.filter(Prefix="cost/asked/").delete()
    tell(*told, **more)


def test_several_currencies_and_an_open_month_are_refused(tell: Tell) -> None:
    tell(*usual(), series("A seller", "Fee", steady("1"), currency="EUR"))
    state = review()
    assert state.is_failed()
    assert "billed in EUR, USD, expected one currency" in str(state.message)
    state = review(of_month=f"{THIS_MONTH:%Y-%m}")
    assert state.is_failed()
    assert "expected a month that is over" in str(state.message)


def test_anomalies_are_found_and_a_forecast_comes_with_its_interval(tell: Tell) -> None:
    spike = LAST_MONTH + timedelta(9)
    told = [*usual(), series("AWS Lambda", "EUN1-Request", known.spiked(noisy(7, 5.0), spike, 6))]
    tell(*told)
    assert review().is_completed()
    found = rows(page(), "| anomaly |")
    assert [(row[0], row[1]) for row in found] == [("AWS Lambda", f"{spike} to {spike}")]
    arn = "arn:aws:ce::123456789012:anomalymonitor/1"
    monitor = {"MonitorArn": arn, "MonitorName": "all", "MonitorType": "DIMENSIONAL"}
    theirs = {
        "AnomalyId": "1",
        "MonitorArn": arn,
        "DimensionValue": "AWS Lambda",
        "AnomalyStartDate": str(spike),
        "AnomalyEndDate": str(spike),
        "AnomalyScore": {"MaxScore": 1.0, "CurrentScore": 1.0},
        "Impact": {"MaxImpact": 25.0, "TotalImpact": 25.0},
    }
    tell(*told, monitors=[monitor], anomalies=[theirs])
    assert review().is_completed()
    assert rows(page(), "| anomaly |")[0][3] == "AWS Cost Anomaly Detection"


def test_what_was_accepted_is_measured_when_a_month_without_it_is_closed(
    tell: Tell, client: Callable[..., Any], call_tool: Callable[..., Any]
) -> None:
    """An address was idle until it was released in the month before last: the bill tells what that saved."""
    release = MONTH_BEFORE + timedelta(10)
    tell(*usual())
    before = client("ec2").allocate_address(Domain="vpc")["AllocationId"]
    call_tool("POST", "/lab/bill", {"first": f"{known.FIRST_MONTH}", "end": f"{release}"})
    client("ec2").release_address(AllocationId=before)
    call_tool("POST", "/lab/bill", {"first": f"{release}", "end": f"{TODAY}"})
    refresh_prices("dev")
    ran = past_runs.list_past_runs.fn("dev", Month(THIS_MONTH), ["refresh-prices", "run-drill"])
    assert ("refresh-prices", "Completed") in {(one.procedure, one.state) for one in ran}
    assert not past_runs.list_past_runs.fn("prod", Month(THIS_MONTH), ["refresh-prices"])
    address = client("ec2").allocate_address(Domain="vpc")["AllocationId"]
    assert review().is_completed()
    (found,) = [json.loads(body) for body in ledger(client)]
    assert (found["expected"], found["accepted_on"]) == ("3.65", None)
    said = accept_recommendation("dev", found["id"], "ann")
    assert accept_recommendation("dev", found["id"], "bob") == said, "it was accepted before"
    refused = accept_recommendation("dev", "0123456789", "ann", return_state=True)  # type: ignore[call-overload]
    assert "expected one that is open" in str(refused.message)
    client("ec2").release_address(AllocationId=address)
    assert review().is_completed()
    (done,) = [json.loads(body) for body in ledger(client)]
    assert done["done_on"] == str(TODAY)
    body = json.dumps({**done, "done_on": str(release)})
    client("s3").put_object(Bucket=BUCKET, Key=f"cost/ledger/{done['id']}.json", Body=body)
    assert review().is_completed()
    (measured,) = [json.loads(body) for body in ledger(client)]
    error = (Decimal(measured["measured"]) / Decimal(measured["expected"]) - 1) * 100
    assert abs(error) <= 5
    assert f"| {measured['measured']} | {error:+.0f}% |" in page()


def ledger(client: Callable[..., Any]) -> list[bytes]:
    listed = client("s3").list_objects_v2(Bucket=BUCKET, Prefix="cost/ledger/").get("Contents", [])
    return [client("s3").get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed]


class Channel(BaseHTTPRequestHandler):
    """What apprise's json:// talks to."""

    heard: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent."""


def test_aws_own_advice_is_told_and_the_summary_goes_to_the_channel(tell: Tell, call_tool: Callable[..., Any]) -> None:
    tell(*usual())
    theirs = {"resourceId": "i-1", "region": "eu-north-1", "actionType": "Rightsize", "estimatedMonthlySavings": 4.5}
    saved = {"estimatedMonthlySavings": {"currency": "USD", "value": 2.5}}
    disk = {
        "volumeArn": "arn:aws:ec2:eu-north-1:123456789012:volume/vol-1",
        "finding": "NotOptimized",
        "volumeRecommendationOptions": [
            {"configuration": {"volumeType": "gp3", "volumeSize": 20}, "rank": 1, "savingsOpportunity": saved}
        ],
    }
    optimizer = {"GetEBSVolumeRecommendations": {"volumeRecommendations": [disk]}}
    hub = [theirs, {**theirs, "region": "eu-west-1"}]
    call_tool("POST", "/lab/advice", {"recommendations": hub, "compute_optimizer": optimizer})
    server = HTTPServer(("127.0.0.1", 0), Channel)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Secret(value=f"json://127.0.0.1:{server.server_port}").save("notification-url", overwrite=True)
    try:
        assert review().is_completed()
        assert [(row[0], row[2], row[3]) for row in rows(page(), "| AWS's advice |")] == [
            ("Rightsize", "", "4.50 USD"),
            ("NotOptimized", "gp3, 20 GiB", "2.50 USD"),
        ]
        (heard,) = Channel.heard
        assert f"{LAST_MONTH:%Y-%m}: USD " in heard["message"]
        Secret(value="nonsense with a token-of-mine").save("notification-url", overwrite=True)
        state = review()
    finally:
        Secret.delete("notification-url")
        server.shutdown()
    assert state.is_failed()
    assert "none that Apprise knows" in str(state.message)
    assert "token-of-mine" not in str(state.message) + page()


@pytest.mark.exhaustive
def test_killed_at_every_task_boundary_the_same_review_ends(
    tell: Tell, environment: dict[str, str], client: Callable[..., Any]
) -> None:
    tell(*usual())
    client("ec2").allocate_address(Domain="vpc")
    killing.kill_everywhere("flows.review_cost", {"environment": "dev"}, environment)
    assert len(ledger(client)) == 1
    require_kept(client)
