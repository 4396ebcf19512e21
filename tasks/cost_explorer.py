"""AWS Cost Explorer: what was spent. Each request costs $0.01: what can no longer change is asked once and kept."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from tasks import aws, s3
from tasks.errors import RunbookError
from tasks.kinds import probe

REQUEST_DOLLARS = Decimal("0.01")  # AWS's price of one Cost Explorer API request, each page counts
KEPT_BELOW = "cost/asked"
METRICS = ("UnblendedCost", "AmortizedCost", "UsageQuantity")
MONEY = METRICS[:2]
THROTTLED = ("LimitExceededException", "ThrottlingException", "Throttling", "TooManyRequestsException")


class CostUnavailable(RunbookError):
    """Cost Explorer does not answer a question; the rest of the review goes on and says so."""


class CostExplorerClosed(CostUnavailable):
    """It answers no question at all: not enabled, not allowed, or throttled."""


@dataclass(frozen=True)
class Question:
    """Costs from `start` to the day before `end`, by up to two groups: dimensions, or tags as `tag:NAME`.

    `services`: of these alone; empty asks for all.
    """

    start: date
    end: date
    groups: tuple[str, ...]
    granularity: str = "MONTHLY"
    services: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.granularity.lower()} costs of {self.start} to {self.end} by {' and '.join(self.groups)}"

    @property
    def key(self) -> str:
        words = [str(self.start), str(self.end), self.granularity, *(one.replace(":", "=") for one in self.groups)]
        if self.services:
            words.append(hashlib.sha256("|".join(self.services).encode()).hexdigest()[:12])
        return f"{KEPT_BELOW}/{'_'.join(words)}.json"


@dataclass(frozen=True)
class Charge:
    """What one group cost in the period that begins with `day`; a tag's value is empty where nothing is tagged."""

    day: date
    keys: tuple[str, ...]
    unblended: Decimal
    amortized: Decimal
    quantity: Decimal
    unit: str


@dataclass(frozen=True)
class Answer:
    """`final`: AWS no longer changes any of it. `requests`: how many were paid for."""

    charges: tuple[Charge, ...]
    currency: str
    final: bool
    requests: int


@probe
def get_cost_and_usage(bucket: str, question: Question) -> Answer:
    """
    Raises:
        CostUnavailable: Cost Explorer does not tell, and why.
    """
    if kept := s3.find_object(bucket, question.key):
        return _read(question, json.loads(kept), 0)
    pages = list(_ask(question))
    results = [result for page in pages for result in page["ResultsByTime"]]
    answer = _read(question, results, len(pages))
    if answer.final:
        body = json.dumps(results)
        aws.client("s3").put_object(Bucket=bucket, Key=question.key, Body=body, ContentType="application/json")
    return answer


def _ask(question: Question) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {
        "TimePeriod": {"Start": question.start.isoformat(), "End": question.end.isoformat()},
        "Granularity": question.granularity,
        "Metrics": list(METRICS),
        "GroupBy": [_group(one) for one in question.groups],
    }
    if question.services:
        asked["Filter"] = {"Dimensions": {"Key": "SERVICE", "Values": list(question.services)}}
    while True:
        page = call("get_cost_and_usage", str(question), asked)
        yield page
        if not (token := page.get("NextPageToken")):
            return
        asked["NextPageToken"] = token


def call(operation: str, what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One paid request."""
    try:
        answer: dict[str, Any] = getattr(aws.client("ce"), operation)(**asked)
    except ClientError as error:
        raise _explained(error, operation, what) from error
    return answer


def _explained(error: ClientError, operation: str, what: str) -> Exception:
    code, said = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code.startswith("AccessDenied") and "not enabled" in said:
        return CostExplorerClosed(
            f"{what}: Cost Explorer is not enabled in this account, expected it to be. Enable it in the console,"
            " Billing and Cost Management > Cost Explorer; AWS needs a day to fill it"
        )
    if code.startswith("AccessDenied"):
        action = "ce:" + "".join(word.title() for word in operation.split("_"))
        return CostExplorerClosed(f"{what}: this identity may not {action}, expected it to. Ask for it. AWS: {said}")
    if code in THROTTLED:
        return CostExplorerClosed(f"{what}: Cost Explorer throttles this account ({said}). Run the review again later")
    if code == "DataUnavailableException" or (code == "ValidationException" and "historical data" in said):
        return CostUnavailable(f"{what}: Cost Explorer has no data for it. AWS said: {said}")
    return error


def _group(name: str) -> dict[str, str]:
    kind, _, key = name.rpartition(":")
    return {"Type": "TAG", "Key": key} if kind == "tag" else {"Type": "DIMENSION", "Key": name}


def _read(question: Question, results: list[dict[str, Any]], requests: int) -> Answer:
    charges = tuple(_charge(question, result, group) for result in results for group in result["Groups"])
    units = {group["Metrics"][name]["Unit"] for result in results for group in result["Groups"] for name in MONEY}
    if len(units) > 1:
        raise CostUnavailable(
            f"{question}: billed in {', '.join(sorted(units))}, expected one currency: sums of several mean nothing."
            " Review each seller's account by itself"
        )
    final = not any(result["Estimated"] for result in results)
    return Answer(charges, next(iter(units), "USD"), final, requests)


def _charge(question: Question, result: Mapping[str, Any], group: Mapping[str, Any]) -> Charge:
    amounts = group["Metrics"]
    return Charge(
        day=date.fromisoformat(result["TimePeriod"]["Start"]),
        keys=tuple(
            key.partition("$")[2] if name.startswith("tag:") else key
            for name, key in zip(question.groups, group["Keys"], strict=True)
        ),
        unblended=Decimal(amounts["UnblendedCost"]["Amount"]),
        amortized=Decimal(amounts["AmortizedCost"]["Amount"]),
        quantity=Decimal(amounts["UsageQuantity"]["Amount"]),
        unit=amounts["UsageQuantity"]["Unit"],
    )
