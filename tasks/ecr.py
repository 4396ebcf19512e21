"""Amazon ECR: which image is meant, and whether it may run."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import httpx

from tasks import aws
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed
from tasks.kinds import probe
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient
    from types_boto3_ecr.type_defs import ImageDetailTypeDef

DIGEST = re.compile(r"(?:[\w.:/-]+@)?(sha256:[0-9a-f]{64})")
SCAN_SECONDS = 300
REFUSED_SEVERITY: Literal["CRITICAL"] = "CRITICAL"


@dataclass(frozen=True)
class Image:
    """One release: the bytes are its digest, the tags only what people call it."""

    repository_url: str
    digest: str
    tags: tuple[str, ...]
    pushed_at: datetime

    @property
    def reference(self) -> str:
        return f"{self.repository_url}@{self.digest}"

    def __str__(self) -> str:
        return f"{', '.join(self.tags) or 'untagged'} ({self.digest[:19]})"


@probe
def describe_image(image: str) -> Image:
    """The image with this digest.

    Args:
        image: `sha256:...`, alone or behind a repository. A tag is refused: it can move between the plan and the apply.
    """
    found = DIGEST.fullmatch(image)
    if not found:
        raise PreconditionFailed(_tag_refusal(image))
    return _describe(imageDigest=found.group(1))


@probe
def describe_images(count: int) -> tuple[Image, ...]:
    """The newest images, newest first."""
    url = _repository_url()
    return tuple(_image(url, found) for found in _newest_first(_ecr())[:count])


def read_labels(image: Image) -> dict[str, str]:
    """The labels that the image's own configuration carries.

    Source: OCI image specification, "config"; the registry serves that blob like a layer.
    """
    ecr = _ecr()
    answer = ecr.batch_get_image(repositoryName=PROJECT, imageIds=[{"imageDigest": image.digest}])
    config = json.loads(answer["images"][0]["imageManifest"])["config"]["digest"]
    url = ecr.get_download_url_for_layer(repositoryName=PROJECT, layerDigest=config)["downloadUrl"]
    labels: dict[str, str] = httpx.get(url).raise_for_status().json()["config"].get("Labels") or {}
    return labels


@probe
def require_scanned(image: Image) -> None:
    """No critical finding, and a finished scan: unknown is not OK."""
    status = wait_until(
        f"the scan of image {image}",
        lambda: _scan_status(image),
        lambda seen: seen not in ("PENDING", "IN_PROGRESS", "not started"),
        timeout_seconds=SCAN_SECONDS,
        expected="'COMPLETE'",
    )
    if status not in ("COMPLETE", "ACTIVE"):
        raise PreconditionFailed(
            f"the scan of image {image} is {status!r}, expected 'COMPLETE'. Push the image again, or scan it by hand."
        )
    findings = _ecr().describe_image_scan_findings(repositoryName=PROJECT, imageId={"imageDigest": image.digest})[
        "imageScanFindings"
    ]
    counts = findings.get("findingSeverityCounts", {})
    if critical := counts.get(REFUSED_SEVERITY):
        names = [f.get("name", "?") for f in findings.get("findings", []) if f.get("severity") == REFUSED_SEVERITY]
        raise PreconditionFailed(
            f"image {image} has {critical} critical findings ({', '.join(names)}), expected 0."
            " Build it with the fixed packages and push it again."
        )


def _ecr() -> "ECRClient":
    client: ECRClient = aws.client("ecr")
    return client


def _describe(**image_id: str) -> Image:
    ecr, url = _ecr(), _repository_url()
    try:
        (found,) = ecr.describe_images(repositoryName=PROJECT, imageIds=[image_id])["imageDetails"]  # type: ignore[list-item]
    except ecr.exceptions.ImageNotFoundException as error:
        wanted = next(iter(image_id.values()))
        raise PreconditionFailed(
            f"ECR repository {PROJECT} has no image {wanted}, expected one. Its newest are: {_newest(ecr)}"
        ) from error
    return _image(url, found)


def _repository_url() -> str:
    ecr = _ecr()
    try:
        (repository,) = ecr.describe_repositories(repositoryNames=[PROJECT])["repositories"]
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise PreconditionFailed(
            f"ECR has no repository {PROJECT}, expected one. Build it first: python -m flows.set_up_account"
        ) from error
    return repository["repositoryUri"]


def _image(repository_url: str, found: "ImageDetailTypeDef") -> Image:
    return Image(repository_url, found["imageDigest"], tuple(found.get("imageTags", [])), found["imagePushedAt"])


def _newest_first(ecr: "ECRClient") -> list["ImageDetailTypeDef"]:
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=PROJECT)
    return sorted((i for page in pages for i in page["imageDetails"]), key=lambda i: i["imagePushedAt"], reverse=True)


def _newest(ecr: "ECRClient", count: int = 5) -> str:
    names = [f"{'/'.join(i.get('imageTags', ['-']))} {i['imageDigest']}" for i in _newest_first(ecr)[:count]]
    return "; ".join(names) or "none, push one first"


def _tag_refusal(image: str) -> str:
    tag = image.rsplit(":", 1)[-1]
    try:
        points_to = f"it points to {_describe(imageTag=tag).digest} now"
    except PreconditionFailed:
        points_to = f"and no image has it; the newest are: {_newest(_ecr())}"
    return f"{image!r} is a tag, expected a digest 'sha256:...', because a tag can move; {points_to}"


def _scan_status(image: Image) -> str:
    ecr = _ecr()
    try:
        found = ecr.describe_image_scan_findings(repositoryName=PROJECT, imageId={"imageDigest": image.digest})
    except ecr.exceptions.ScanNotFoundException:
        return "not started"
    return str(found["imageScanStatus"]["status"])
