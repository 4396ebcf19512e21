"""AWS's own advice: Cost Optimization Hub, which also tells what Compute Optimizer finds, where it is enrolled."""

from decimal import Decimal

from botocore.exceptions import BotoCoreError, ClientError

from tasks import aws
from tasks.advice import Advice
from tasks.cents import to_cent
from tasks.kinds import probe

NOT_ENROLLED = (
    "Cost Optimization Hub is not used: the account is not enrolled. Enroll it in the console,"
    " Billing and Cost Management > Cost Optimization Hub, free of charge"
)


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
        return (), f"Cost Optimization Hub could not be asked: {blind}"
    return tuple(sorted(found, key=lambda one: one.saving, reverse=True)), ""


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
