"""ECR image scans. What a scanner would find stands in the image's own labels; the lab has no scanner.

`lab.scan-findings=CRITICAL:CVE-2026-0001,HIGH:CVE-2026-0002` are its findings, `lab.scan-status=FAILED` makes the scan
fail as it does for an image without a known operating system.
"""

import json
import re
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from moto.ecr.exceptions import LimitExceededException, ScanNotFoundException
from moto.ecr.models import ECRBackend

from lab.clock import Clock
from lab.extend import AWSError

FINDINGS_LABEL = "lab.scan-findings"
STATUS_LABEL = "lab.scan-status"
QUEUED_SECONDS = 5.0
SCAN_SECONDS = 30.0
QUOTA_SECONDS = 24 * 3600.0
PAGE_SIZE = 100
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
UNSUPPORTED = "UnsupportedImageError: The operating system and/or package manager are not supported."


class Scan:
    """One basic scan of an image: queued, then under way, then complete with what the image's content gave."""

    def __init__(self, clock: Clock) -> None:
        self.state, self.description = "PENDING", ""
        self.findings: list[dict[str, Any]] = []
        self.completed: datetime | None = None
        self._begins, self._ends = clock.deadline(QUEUED_SECONDS), clock.deadline(SCAN_SECONDS)
        self._quota_until = clock.deadline(QUOTA_SECONDS)

    @property
    def holds_quota(self) -> bool:
        return time.monotonic() < self._quota_until

    def advance(self, repository: Any, image: Any) -> None:
        if self.state == "PENDING" and time.monotonic() >= self._begins:
            self.state = "IN_PROGRESS"
        if self.state == "IN_PROGRESS" and time.monotonic() >= self._ends:
            self._finish(_labels(repository, image))

    def _finish(self, labels: dict[str, str]) -> None:
        if labels.get(STATUS_LABEL) == "FAILED":
            self.state, self.description = "FAILED", UNSUPPORTED
            return
        self.findings = _read_findings(labels.get(FINDINGS_LABEL, ""))
        self.state, self.description = "COMPLETE", "The scan was completed successfully."
        self.completed = datetime.now(UTC)

    def status(self) -> dict[str, str]:
        return {"status": self.state, "description": self.description}

    def summary(self) -> dict[str, Any] | None:
        if self.completed is None:
            return None
        return {
            "imageScanCompletedAt": self.completed,
            "vulnerabilitySourceUpdatedAt": self.completed,
            "findingSeverityCounts": dict(Counter(one["severity"] for one in self.findings)),
        }


def _labels(repository: Any, image: Any) -> dict[str, str]:
    config = json.loads(image.image_manifest).get("config")
    if not config:
        return {STATUS_LABEL: "FAILED"}
    described = json.loads(repository.layer_file(config["digest"]).read_bytes())
    return (described.get("config") or {}).get("Labels") or {}


def _read_findings(text: str) -> list[dict[str, Any]]:
    """`SEVERITY:NAME,...`, worst first."""
    pairs = [part.strip().partition(":")[::2] for part in text.split(",") if part.strip()]
    found = [
        {"name": name, "severity": severity if severity in SEVERITIES else "UNDEFINED"} for severity, name in pairs
    ]
    for one in found:
        one["uri"] = f"https://cve.mitre.org/cgi-bin/cvename.cgi?name={one['name']}"
    return sorted(found, key=lambda one: SEVERITIES.index(one["severity"]))


def install(clock: Clock) -> None:
    def start_image_scan(self: Any, registry_id: str, repository_name: str, image_id: dict[str, str]) -> dict[str, Any]:
        repository = self._get_repository(repository_name, registry_id)
        image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))
        if self.registry_scanning_configuration["scanType"] == "ENHANCED":
            raise AWSError("ValidationException", "This feature is disabled")
        if image.scan and image.scan.holds_quota:
            raise LimitExceededException
        image.scan = Scan(clock)
        return {**_identify(repository, image, image_id), "imageScanStatus": {"status": "IN_PROGRESS"}}

    ECRBackend.start_image_scan = start_image_scan
    ECRBackend.describe_image_scan_findings = describe_image_scan_findings
    ECRBackend.new_scan = lambda _self: Scan(clock)


def start_on_push(backend: Any, repository: Any, image: Any) -> None:
    rules = backend.registry_scanning_configuration["rules"]
    by_rule = any(
        rule["scanFrequency"] == "SCAN_ON_PUSH" and matches_wildcard(one["filter"], repository.name)
        for rule in rules
        for one in rule["repositoryFilters"]
    )
    if by_rule or repository.image_scanning_configuration.get("scanOnPush"):
        image.scan = backend.new_scan()


def matches_wildcard(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), name) is not None


def describe_image_scan_findings(
    self: Any, registry_id: str, repository_name: str, image_id: dict[str, str]
) -> dict[str, Any]:
    repository = self._get_repository(repository_name, registry_id)
    image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))
    if not image.scan:
        known = f"{{imageDigest:'{image.image_digest}', imageTag:'{image_id.get('imageTag') or 'null'}'}}"
        raise ScanNotFoundException(known, repository_name, repository.registry_id)
    answer = {**_identify(repository, image, image_id), "imageScanStatus": image.scan.status()}
    if summary := image.scan.summary():
        answer["imageScanFindings"] = {**summary, "findings": image.scan.findings}
    return answer


def _identify(repository: Any, image: Any, image_id: dict[str, str]) -> dict[str, Any]:
    tag = image_id.get("imageTag") or image.image_tag
    shown = {"imageDigest": image.image_digest, **({"imageTag": tag} if tag else {})}
    return {"registryId": repository.registry_id, "repositoryName": repository.name, "imageId": shown}
