"""AWS's own advice: Cost Optimization Hub, which also tells what Compute Optimizer finds, where it is enrolled."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from botocore.exceptions import BotoCoreError, ClientError

from tasks import aws
from tasks.cents import dollars, to_cent
from tasks.kinds import probe

NOT_ENROLLED = (
    "AWS's own advice is not used: the account is not enrolled in Cost Optimization Hub. Enroll it in the console,"
    " Billing and Cost Management > Cost Optimization Hub, free of charge, with Compute Optimizer"
)


@dataclass(frozen=True)
class Advice:
    """In AWS's words. It may repeat a recommendation of ours: their savings are never added."""

    resource: str
    action: str
    then: str
    saving: Decimal
    currency: str
    effort: str
    source: str


@probe
def list_advice(region: str) -> tuple[tuple[Advice, ...], str]:
    """What AWS recommends in a region, the most money first; else why nothing is told."""
    hub = aws.client("cost-optimization-hub")
    try:
        if not any(one["status"] == "Active" for one in hub.list_enrollment_statuses()["items"]):
            return (), NOT_ENROLLED
        pages = hub.get_paginator("list_recommendations").paginate(filter={"regions": [region]})
        found = [_read(one) for page in pages for one in page["items"]]
    except (BotoCoreError, ClientError) as blind:
        return (), f"AWS's own advice is not known: Cost Optimization Hub could not be asked: {blind}"
    return tuple(sorted(found, key=lambda one: one.saving, reverse=True)), ""


def table(found: tuple[Advice, ...]) -> Iterator[str]:
    if not found:
        return
    yield "what AWS itself advises"
    yield "| AWS's advice | resource | to | saves a month | effort | from |"
    yield "|---|---|---|--:|---|---|"
    for one in found:
        money = f"{dollars(one.saving)} {one.currency}"
        yield f"| {one.action} | {one.resource} | {one.then} | {money} | {one.effort} | {one.source} |"


def _read(one: dict[str, object]) -> Advice:
    return Advice(
        resource=str(one.get("resourceId") or one.get("resourceArn", "")),
        action=str(one.get("actionType", "")),
        then=str(one.get("recommendedResourceSummary", "")),
        saving=to_cent(Decimal(str(one.get("estimatedMonthlySavings", 0)))),
        currency=str(one.get("currencyCode", "USD")),
        effort=str(one.get("implementationEffort", "")),
        source=str(one.get("source", "")),
    )
