"""AWS Compute Optimizer: which instances, groups, disks and databases it finds larger than they have to be."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tasks import aws
from tasks.advice import Advice
from tasks.cents import to_cent
from tasks.kinds import probe

NOT_ENROLLED = (
    "AWS Compute Optimizer is not used: the account is not opted in. Opt in, free of charge:"
    " aws compute-optimizer update-enrollment-status --status Active; it needs 30 hours of metrics first"
)
SOURCE = "Compute Optimizer"


@dataclass(frozen=True)
class Kind:
    """One operation and where its answer says what: the resource, the options, and what an option would be."""

    operation: str
    found: str
    resource: str
    options: str
    then: Callable[[Mapping[str, Any]], str]


KINDS = (
    Kind(
        "get_ec2_instance_recommendations",
        "instanceRecommendations",
        "instanceArn",
        "recommendationOptions",
        lambda option: str(option["instanceType"]),
    ),
    Kind(
        "get_auto_scaling_group_recommendations",
        "autoScalingGroupRecommendations",
        "autoScalingGroupArn",
        "recommendationOptions",
        lambda option: str(option["configuration"].get("instanceType", "mixed types")),
    ),
    Kind(
        "get_ebs_volume_recommendations",
        "volumeRecommendations",
        "volumeArn",
        "volumeRecommendationOptions",
        lambda option: "{volumeType}, {volumeSize} GiB".format_map(option["configuration"]),
    ),
    Kind(
        "get_rds_database_recommendations",
        "rdsDBRecommendations",
        "resourceArn",
        "instanceRecommendationOptions",
        lambda option: str(option["dbInstanceClass"]),
    ),
)


@probe
def list_advice() -> tuple[tuple[Advice, ...], str]:
    """What it recommends in the region of this account's environments; else why nothing is told."""
    try:
        if aws.client("compute-optimizer").get_enrollment_status()["status"] != "Active":
            return (), NOT_ENROLLED
        return tuple(advice for kind in KINDS for advice in _advice(kind)), ""
    except (BotoCoreError, ClientError) as blind:
        return (), f"AWS Compute Optimizer could not be asked: {blind}"


def _advice(kind: Kind) -> Iterator[Advice]:
    """Its first option is its best. One that would cost more is about speed: not told here."""
    asked: dict[str, str] = {}
    while True:
        page = getattr(aws.client("compute-optimizer"), kind.operation)(**asked)
        for one in page[kind.found]:
            for option in one.get(kind.options, ())[:1]:
                money = option.get("savingsOpportunity", {}).get("estimatedMonthlySavings", {})
                if (saving := to_cent(Decimal(str(money.get("value", 0))))) > 0:
                    yield Advice(
                        resource=one[kind.resource],
                        action=str(one.get("finding") or one.get("instanceFinding") or ""),
                        then=kind.then(option),
                        saving=saving,
                        currency=str(money.get("currency", "USD")),
                        effort=str(option.get("migrationEffort", "")),
                        source=SOURCE,
                    )
        if not (token := page.get("nextToken")):
            return
        asked = {"nextToken": token}
