"""Images that nobody starts any more: machine images, and releases in registries that keep all of them."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tasks import aws
from tasks.price_list import IMAGES_USAGE, PriceList
from tasks.recommendation import OLD, Recommendation, is_ours, is_worth_it, times
from tasks.recommendations_storage import GIB, SNAPSHOT
from tasks.residue_kinds import EXISTING, MARKS, tags_of

RELEASES_KEPT = 10
POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": RELEASES_KEPT},
            "action": {"type": "expire"},
        }
    ]
}


def find(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    yield from _machine_images(environment, prices)
    yield from _repositories(environment, prices)


def _machine_images(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    """Old ones of our own that no instance runs and no launch template names."""
    images = aws.client("ec2").describe_images(Owners=["self"])["Images"]
    used = _started() if images else set()
    for one in images:
        tags, name = tags_of(one.get("Tags")), one["ImageId"]
        age = datetime.now(UTC) - datetime.fromisoformat(one["CreationDate"])
        if name in used or age < OLD or set(MARKS) & set(tags) or not is_ours(tags, environment):
            continue
        disks = [disk["Ebs"] for disk in one["BlockDeviceMappings"] if "SnapshotId" in disk.get("Ebs", {})]
        size = sum(disk["VolumeSize"] for disk in disks)
        last = "".join(f" && aws ec2 delete-snapshot --snapshot-id {disk['SnapshotId']}" for disk in disks)
        yield Recommendation(
            kind="deregister an old machine image",
            resource=name,
            saving=times(size, prices.dollars(SNAPSHOT)),
            confidence="low",
            effort="low",
            risk="nothing can be started from it any more; look whether another account does",
            change=f"aws ec2 deregister-image --image-id {name}{last}",
            seen=f"{size} GiB, {age.days} days old, of no instance and no launch template; the money is at most this",
            usages=prices.billed(SNAPSHOT),
        )


def _started() -> set[str]:
    ec2 = aws.client("ec2")
    running = ec2.get_paginator("describe_instances").paginate(Filters=EXISTING)
    found = {one["ImageId"] for page in running for r in page["Reservations"] for one in r["Instances"]}
    for page in ec2.get_paginator("describe_launch_templates").paginate():
        for template in page["LaunchTemplates"]:
            versions = ec2.get_paginator("describe_launch_template_versions").paginate(
                LaunchTemplateId=template["LaunchTemplateId"]
            )
            told = (one["LaunchTemplateData"] for each in versions for one in each["LaunchTemplateVersions"])
            found |= {one["ImageId"] for one in told if "ImageId" in one}
    return found


def _repositories(environment: str, prices: PriceList) -> Iterator[Recommendation]:
    ecr = aws.client("ecr")
    for page in ecr.get_paginator("describe_repositories").paginate():
        for one in page["repositories"]:
            tags = tags_of(ecr.list_tags_for_resource(resourceArn=one["repositoryArn"])["tags"])
            if is_ours(tags, environment) and not _expires(one["repositoryName"]):
                yield from _without_policy(one["repositoryName"], prices)


def _expires(repository: str) -> bool:
    ecr = aws.client("ecr")
    try:
        ecr.get_lifecycle_policy(repositoryName=repository)
    except ecr.exceptions.LifecyclePolicyNotFoundException:
        return False
    return True


def _without_policy(repository: str, prices: PriceList) -> Iterator[Recommendation]:
    pages = aws.client("ecr").get_paginator("describe_images").paginate(repositoryName=repository)
    images: list[Mapping[str, Any]] = [one for page in pages for one in page["imageDetails"]]
    gone = sorted(images, key=lambda one: one["imagePushedAt"], reverse=True)[RELEASES_KEPT:]
    size = Decimal(sum(one["imageSizeInBytes"] for one in gone)) / GIB
    saving = times(size, prices.dollars(IMAGES_USAGE))
    if gone and is_worth_it(saving):
        yield Recommendation(
            kind="let old images expire",
            resource=repository,
            saving=saving,
            confidence="low",
            effort="low",
            risk=f"releases before the last {RELEASES_KEPT} can't be rolled back to",
            change=f"aws ecr put-lifecycle-policy --repository-name {repository} --lifecycle-policy-text"
            f" '{json.dumps(POLICY)}'",
            seen=f"{len(images)} images, no lifecycle policy: all are kept for ever. {size:.2f} GiB before the last"
            f" {RELEASES_KEPT}; layers that later ones share stay, so the money is at most this",
            usages=prices.billed(IMAGES_USAGE),
        )
