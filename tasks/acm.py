"""AWS Certificate Manager: the certificate of an environment's domain."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks import aws
from tasks.errors import VerificationFailed
from tasks.kinds import action, probe
from tasks.waiting import wait_until

if TYPE_CHECKING:
    from types_boto3_acm import ACMClient

VALID = timedelta(days=365)
RENEW_DAYS = 30
RECORDS_SECONDS = 120
# An expired one too: it is replaced in place, where the load balancer has it. Unasked, ACM lists RSA keys only.
LISTED: Any = {
    "CertificateStatuses": ["ISSUED", "EXPIRED"],
    "Includes": {"keyTypes": ["RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]},
}


@dataclass(frozen=True)
class Certificate:
    arn: str
    domain_name: str
    status: str
    expires: datetime | None

    @property
    def days_left(self) -> int | None:
        return (self.expires - datetime.now(UTC)).days if self.expires else None

    @property
    def is_good(self) -> bool:
        return (self.days_left or 0) > RENEW_DAYS


@probe
def find_certificate(domain_name: str) -> Certificate | None:
    """The certificate of a domain that lasts longest, or lasted."""
    pages = _acm().get_paginator("list_certificates").paginate(**LISTED)
    arns = [
        c["CertificateArn"]
        for page in pages
        for c in page["CertificateSummaryList"]
        if c.get("DomainName") == domain_name
    ]
    found = [_describe(arn) for arn in arns]
    return max(found, key=lambda c: c.expires or datetime.min.replace(tzinfo=UTC), default=None)


@action
def import_self_signed(domain_name: str) -> Certificate:
    """A self-signed certificate in ACM. The private key is made here, sent once and kept nowhere."""
    found = find_certificate.fn(domain_name)
    if found and found.is_good:
        return found
    return _import(domain_name, VALID, found.arn if found else None)


@action
def renew_self_signed(arn: str) -> Certificate:
    """Another one in the place of this very certificate, unless it lasts for long enough."""
    found = _describe(arn)
    return found if found.is_good else _import(found.domain_name, VALID, arn)


@action
def expire_self_signed(arn: str, after: timedelta) -> Certificate:
    """In the place of a good one, one that expires so soon."""
    found = _describe(arn)
    return _import(found.domain_name, after, arn) if found.is_good else found


@probe
def describe_certificate(arn: str) -> Certificate:
    return _describe(arn)


@action
def request_public(domain_name: str) -> str:
    """The ARN of a certificate that ACM itself issues and renews: the one that is there or asked for, or a new one."""
    pages = (
        _acm()
        .get_paginator("list_certificates")
        .paginate(CertificateStatuses=["ISSUED", "PENDING_VALIDATION"], Includes=LISTED["Includes"])
    )
    arns = [
        c["CertificateArn"] for p in pages for c in p["CertificateSummaryList"] if c.get("DomainName") == domain_name
    ]
    for arn in arns:
        if _acm().describe_certificate(CertificateArn=arn)["Certificate"]["Type"] == "AMAZON_ISSUED":
            return arn
    token = hashlib.sha256(domain_name.encode()).hexdigest()[:32]
    asked = _acm().request_certificate(DomainName=domain_name, ValidationMethod="DNS", IdempotencyToken=token)
    return asked["CertificateArn"]


@probe
def wait_until_records_known(arn: str) -> tuple[str, ...]:
    """The DNS records that prove whose domain it is: ACM needs some seconds to think of them."""

    def look() -> tuple[str, ...]:
        found = _acm().describe_certificate(CertificateArn=arn)["Certificate"].get("DomainValidationOptions", [])
        records = [one["ResourceRecord"] for one in found if "ResourceRecord" in one]
        return tuple(f"{one['Name']} {one['Type']} {one['Value']}" for one in records)

    return wait_until(
        f"certificate {arn}", look, bool, timeout_seconds=RECORDS_SECONDS, expected="DNS records for its validation"
    )


@probe
def wait_until_issued(arn: str, minutes: float) -> Certificate:
    """
    Raises:
        VerificationFailed: ACM gave up on it, and says why.
        WaitTimedOut: the records are not seen yet.
    """

    def is_issued(one: Certificate) -> bool:
        if one.status not in ("PENDING_VALIDATION", "ISSUED"):
            raise VerificationFailed(f"certificate {arn} is {one.status}, expected ISSUED: delete it and ask again")
        return one.status == "ISSUED"

    return wait_until(
        f"certificate {arn}",
        lambda: _describe(arn),
        is_issued,
        timeout_seconds=60 * minutes,
        expected="ISSUED, once its DNS records are there",
    )


@probe
def is_self_signed(arn: str) -> bool:
    """Whether it was made here: only then another one in its place is as good as the one that it replaces."""
    pem = _acm().get_certificate(CertificateArn=arn)["Certificate"]
    found = x509.load_pem_x509_certificate(pem.encode())
    return found.issuer == found.subject


def _import(domain_name: str, valid: timedelta, arn: str | None) -> Certificate:
    key, certificate = _self_signed(domain_name, valid)
    replaced = {"CertificateArn": arn} if arn else {}
    imported = _acm().import_certificate(Certificate=certificate, PrivateKey=key, **replaced)  # type: ignore[arg-type]
    return _describe(imported["CertificateArn"])


def _self_signed(domain_name: str, valid: timedelta) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain_name[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain_name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, certificate.public_bytes(serialization.Encoding.PEM)


def _acm() -> "ACMClient":
    client: ACMClient = aws.client("acm")
    return client


def _describe(arn: str) -> Certificate:
    found = _acm().describe_certificate(CertificateArn=arn)["Certificate"]
    return Certificate(arn, found["DomainName"], found["Status"], found.get("NotAfter"))
