"""The application as its users meet it: over HTTP, through the load balancer."""

import ssl
from collections import Counter
from dataclasses import dataclass

import httpx

from tasks import aws
from tasks.environment import Environment
from tasks.errors import VerificationFailed
from tasks.kinds import probe
from tasks.waiting import wait_until

TIMEOUT_SECONDS = 5.0
HEALTHY_SECONDS = 600
# Round robin reaches every instance soon; this many answers per instance without meeting one means it gets no traffic.
LOOKS_PER_INSTANCE = 20


@dataclass(frozen=True)
class Health:
    """One answer of /health."""

    status_code: int
    status: str = "unreachable"
    database: str = "unknown"
    version: str = "unknown"
    instance: str = "unknown"
    error: str = ""

    @property
    def is_healthy(self) -> bool:
        return self.status_code == 200 and self.status == "healthy" and self.database == "connected"


@probe
def describe_health(environment: Environment) -> Health:
    with _visitor(environment) as visitor:
        return _ask(visitor)


@probe
def wait_until_healthy(environment: Environment, timeout_seconds: float = HEALTHY_SECONDS) -> Health:
    """The load balancer answers, the application is healthy and its database connected."""
    with _visitor(environment) as visitor:
        return wait_until(
            f"{environment.alb_url}/health",
            lambda: _ask(visitor),
            lambda health: health.is_healthy,
            timeout_seconds=timeout_seconds,
            expected="status 'healthy' and database 'connected'",
        )


@probe
def require_every_instance_serves(
    environment: Environment, instance_ids: tuple[str, ...], versions: tuple[str, ...]
) -> Counter[str]:
    """From outside: every instance has answered, and every answer came from one of `versions`.

    Args:
        versions: what /health may call this release; empty when the image has no tag to compare with.
    """
    answers: Counter[str] = Counter()
    with _visitor(environment) as visitor:
        for _ in range(LOOKS_PER_INSTANCE * max(len(instance_ids), 1)):
            health = _ask(visitor)
            if not health.is_healthy:
                raise VerificationFailed(f"{environment.alb_url}/health answered {health}, expected a healthy one")
            if versions and health.version not in versions:
                raise VerificationFailed(
                    f"instance {health.instance} serves version {health.version}, expected {' or '.join(versions)}"
                )
            answers[health.instance] += 1
            if set(instance_ids) <= set(answers):
                return answers
    unseen = sorted(set(instance_ids) - set(answers))
    raise VerificationFailed(
        f"{', '.join(unseen)} answered none of {answers.total()} requests to {environment.alb_url}, expected every"
        " instance to serve. Look at their target health."
    )


def count_failures(environment: Environment, requests: int) -> int:
    """How many of `requests` to /ready fail, as a user sees it."""
    with _visitor(environment) as visitor:
        return sum(not _is_ready(visitor) for _ in range(requests))


def _visitor(environment: Environment) -> httpx.Client:
    """A client that trusts the load balancer's own certificate, issued for the environment's domain name."""
    return httpx.Client(
        base_url=environment.alb_url,
        timeout=TIMEOUT_SECONDS,
        verify=_trust(environment.ssl_certificate_arn),
        event_hooks={"request": [lambda request: _name_domain(request, environment.domain_name)]},
    )


def _trust(certificate_arn: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificate_arn:
        found = aws.client("acm").get_certificate(CertificateArn=certificate_arn)
        context.load_verify_locations(cadata=f"{found['Certificate']}\n{found.get('CertificateChain', '')}")
    return context


def _name_domain(request: httpx.Request, domain_name: str) -> None:
    if domain_name:
        request.extensions["sni_hostname"] = domain_name


def _ask(visitor: httpx.Client) -> Health:
    try:
        answer = visitor.get("/health")
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return Health(0, error=str(error))
    known = {name: str(body.get(name, "unknown")) for name in ("status", "database", "version", "instance")}
    return Health(answer.status_code, **known)


def _is_ready(visitor: httpx.Client) -> bool:
    try:
        return visitor.get("/ready").status_code == 200
    except httpx.HTTPError:
        return False
