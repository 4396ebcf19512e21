"""Certificate Manager: certificates that match their key, issued on the lab's clock, and how long they last."""

import time
from datetime import UTC, datetime
from typing import Any

from moto.acm.models import AWSCertificateManagerBackend, CertBundle, acm_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.elbv2.models import elbv2_backends

from lab.extend import AWSError, Method, around
from lab.lab import Lab

VALIDATION_AWS_SECONDS = 120.0  # how long DNS validation usually takes once the record is there
METRIC_AWS_SECONDS = 12 * 3600.0
LISTED_UNASKED = ("RSA_1024", "RSA_2048")


class CertificateManager:
    """Adds to moto's CertBundle: `own_chain` (as imported, without AWS's root), `issue_at`, `metric_at`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def install(self) -> None:
        clock = self.lab.clock

        @around(CertBundle, "__init__")
        def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.own_chain = kwargs.get("chain") or b""
            self.issue_at = clock.deadline(VALIDATION_AWS_SECONDS)
            self.metric_at = 0.0

        @around(CertBundle, "check")
        def check(original: Method, self: Any) -> None:
            original(self)
            if self.status == "PENDING_VALIDATION" and time.monotonic() >= self.issue_at:
                self.status = "ISSUED"

        CertBundle.in_use_by = property(load_balancers_with, lambda _self, _value: None)
        _install_refusals()

    def tick(self) -> None:
        for account, region, backend in acm_backends.iter_backends():
            for bundle in backend._certificates.values():
                bundle.check()
                if bundle.status == "ISSUED" and time.monotonic() >= bundle.metric_at:
                    bundle.metric_at = self.lab.clock.deadline(METRIC_AWS_SECONDS)
                    put_days_to_expiry(cloudwatch_backends[account][region], bundle)

    def reset(self) -> None:
        """Nothing real belongs to Certificate Manager."""


def _install_refusals() -> None:
    @around(AWSCertificateManagerBackend, "import_certificate")
    def import_certificate(
        original: Method, self: Any, certificate: bytes, private_key: bytes, chain: Any, arn: Any, tags: Any
    ) -> Any:
        before = self._certificates.get(arn)
        if before and tags:
            raise AWSError("ValidationException", "You cannot apply tags when reimporting a certificate")
        if before and before.type != "IMPORTED":
            raise AWSError("ValidationException", f"Certificate {arn} was not imported")
        bundle = CertBundle(self.account_id, certificate, private_key, chain=chain, region=self.region_name)
        if bundle._cert.public_key() != bundle._key.public_key():
            raise AWSError("ValidationException", "The private key does not match the certificate.")
        arn = original(self, certificate, private_key, chain=chain, arn=arn, tags=tags)
        if before:
            self._certificates[arn].tags = before.tags
        return arn

    @around(AWSCertificateManagerBackend, "list_certificates")
    def list_certificates(original: Method, self: Any, statuses: Any, includes: Any) -> Any:
        return original(self, statuses, {"keyTypes": LISTED_UNASKED, **(includes or {})})

    @around(AWSCertificateManagerBackend, "delete_certificate")
    def delete_certificate(original: Method, self: Any, arn: str) -> None:
        bundle = self._certificates.get(arn)
        if bundle and bundle.in_use_by:
            raise AWSError("ResourceInUseException", f"Certificate {arn} is in use.")
        original(self, arn)


def load_balancers_with(bundle: Any) -> list[str]:
    """The load balancers that have a listener with this certificate."""
    return [
        balancer.arn
        for _, _, backend in elbv2_backends.iter_backends()
        for balancer in backend.load_balancers.values()
        if any(bundle.arn in listener.certificates for listener in balancer.listeners.values())
    ]


def put_days_to_expiry(cloudwatch: Any, bundle: Any) -> None:
    left = bundle._not_valid_after(bundle._cert) - datetime.now(UTC).replace(tzinfo=None)
    datum = {
        "MetricName": "DaysToExpiry",
        "Dimensions": [{"Name": "CertificateArn", "Value": bundle.arn}],
        "Value": float(left.days),
    }
    cloudwatch.put_metric_data("AWS/CertificateManager", [datum])
