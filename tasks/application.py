"""The application as its users meet it: over HTTP, through the load balancer."""

import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import httpx
from botocore.exceptions import BotoCoreError, ClientError

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

    path: ClassVar[str] = "/health"
    status_code: int
    status: str = "unreachable"
    database: str = "unknown"
    version: str = "unknown"
    instance: str = "unknown"
    error: str = ""

    @property
    def is_well(self) -> bool:
        return self.status_code == 200 and self.status == "healthy" and self.database == "connected"


@dataclass(frozen=True)
class Readiness:
    """One answer of /ready."""

    path: ClassVar[str] = "/ready"
    status_code: int
    reason: str = "unknown"
    version: str = "unknown"
    instance: str = "unknown"
    error: str = ""

    @property
    def is_well(self) -> bool:
        return self.status_code == 200


Answer = TypeVar("Answer", Health, Readiness)


@dataclass(frozen=True)
class Visit:
    """One request to /ready as a user would send it."""

    answer: Readiness
    milliseconds: float


@probe
def describe_health(environment: Environment) -> Health:
    with _visitor(environment) as visitor:
        return _ask(visitor, Health)


@probe
def find_schema_version(environment: Environment) -> int | None:
    """The database's schema version as the application tells it, also while it is not ready; None if it can't."""
    with _visitor(environment) as visitor:
        try:
            told = visitor.get("/ready").json()["schema"]["version"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None
    return told if isinstance(told, int) else None


def find_faults(environment: Environment) -> list[str]:
    """Why it is not well, as users see it; none when it is."""
    health = describe_health.fn(environment)
    return [] if health.is_well else [f"{environment.alb_url}/health answered {health}, expected healthy and connected"]


@probe
def wait_until_healthy(environment: Environment, timeout_seconds: float = HEALTHY_SECONDS) -> Health:
    """The load balancer answers, the application is healthy and its database connected."""
    with _visitor(environment) as visitor:
        return wait_until(
            f"{environment.alb_url}/health",
            lambda: _ask(visitor, Health),
            lambda health: health.is_well,
            timeout_seconds=timeout_seconds,
            expected="status 'healthy' and database 'connected'",
        )


@probe
def require_every_instance_serves(
    environment: Environment, instance_ids: tuple[str, ...], versions: tuple[str, ...]
) -> Counter[str]:
    """From outside: every instance is alive and ready, and every answer came from one of `versions`.

    Args:
        versions: what /health may call this release; empty when the image has no tag to compare with.
    """
    with _visitor(environment) as visitor:
        alive = _meet_everyone(visitor, Health, instance_ids, versions)
        return alive + _meet_everyone(visitor, Readiness, instance_ids, versions)


@contextmanager
def visitor(environment: Environment) -> Iterator[Callable[[], Visit]]:
    """One who comes back: a call is a request to /ready through the load balancer."""
    with _visitor(environment) as client:
        yield lambda: _visit(client)


def visit(environment: Environment, requests: int) -> tuple[Visit, ...]:
    """So many requests to /ready, one after the other, through the load balancer."""
    with _visitor(environment) as visitor:
        return tuple(_visit(visitor) for _ in range(requests))


def visits(environment: Environment) -> Iterator[Visit]:
    """The same, each by a client who was never here: one that stays connected does not see that TLS is broken."""
    while True:
        try:
            yield visit(environment, 1)[0]
        except (BotoCoreError, ClientError) as error:
            yield Visit(Readiness(0, error=f"nobody says which certificate to trust: {error}"), 0.0)


def _meet_everyone(
    visitor: httpx.Client,
    kind: type[Answer],
    instance_ids: tuple[str, ...],
    versions: tuple[str, ...],
) -> Counter[str]:
    answers: Counter[str] = Counter()
    for _ in range(LOOKS_PER_INSTANCE * max(len(instance_ids), 1)):
        answer = _ask(visitor, kind)
        if not answer.is_well:
            raise VerificationFailed(f"{visitor.base_url}{kind.path} answered {answer}, expected that all is well")
        if versions and answer.version not in versions:
            raise VerificationFailed(
                f"instance {answer.instance} serves version {answer.version}, expected {' or '.join(versions)}"
            )
        answers[answer.instance] += 1
        if set(instance_ids) <= set(answers):
            return answers
    unseen = sorted(set(instance_ids) - set(answers))
    raise VerificationFailed(
        f"{', '.join(unseen)} answered none of {answers.total()} requests to {visitor.base_url}{kind.path}, expected"
        " every instance to serve. Look at their target health."
    )


def _visit(visitor: httpx.Client) -> Visit:
    began = time.monotonic()
    answer = _ask(visitor, Readiness)
    return Visit(answer, 1000 * (time.monotonic() - began))


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


def _ask(visitor: httpx.Client, kind: type[Answer]) -> Answer:
    try:
        answer = visitor.get(kind.path)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return kind(0, error=str(error))
    known: dict[str, Any] = {f.name: str(body[f.name]) for f in fields(kind) if f.name in body}
    return kind(**{**known, "status_code": answer.status_code})
