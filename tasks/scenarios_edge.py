"""Drills of the edge: the certificate with which users reach the load balancer expires."""

from datetime import UTC, datetime, timedelta

from tasks import acm, application
from tasks.drill import Abort, BlastRadius, Recovery, Scenario, Situation, Step, Target
from tasks.environment import Environment
from tasks.errors import PreconditionFailed

# ACM refuses to import a certificate that has expired: one that does so in a moment.
EXPIRES_AFTER = timedelta(seconds=15)


def _certificate_of(environment: Environment) -> BlastRadius:
    return BlastRadius(
        (Target("ACM certificate", _own_certificate(environment)),),
        "browsers and clients refuse the connection until the certificate is replaced",
        0.0,
    )


def _own_certificate(environment: Environment) -> str:
    """
    Raises:
        PreconditionFailed: it is not one that could be made again. Nothing was changed.
    """
    arn = environment.ssl_certificate_arn
    if arn is None or not acm.is_self_signed.fn(arn):
        raise PreconditionFailed(
            f"the certificate of {environment} is {arn or 'none'}, expected one that set_up_certificate has made: the"
            " key of any other can't be brought back. Drill this in dev"
        )
    return arn


def _is_trusted(situation: Situation) -> list[str]:
    where, (target, *_) = situation.environment, situation.targets
    found, health = acm.describe_certificate.fn(target.id), application.describe_health.fn(where)
    reasons = [] if health.is_well else [f"{where.alb_url}/health answered {health}, expected healthy over TLS"]
    if not found.is_good:
        reasons.append(f"{target} expires {found.expires}, expected more than {acm.RENEW_DAYS} days from now")
    return reasons


def _let_expire(situation: Situation) -> None:
    acm.expire_self_signed(situation.targets[0].id, EXPIRES_AFTER)


def _renew(situation: Situation) -> None:
    acm.renew_self_signed(situation.targets[0].id)


def _is_refused(situation: Situation) -> list[str]:
    where, target = situation.environment, situation.targets[0]
    expires = acm.describe_certificate.fn(target.id).expires
    if expires is None or expires > datetime.now(UTC):
        return [f"{target} expires {expires}, expected that it has expired"]
    health = application.describe_health.fn(where)
    return [f"{where.alb_url} is still trusted, expected that clients refuse it"] if health.status_code else []


EXPIRED_CERTIFICATE = Scenario(
    name="expired-certificate",
    question="The load balancer's certificate has expired: how soon do clients trust it again?",
    resolve=_certificate_of,
    steady=_is_trusted,
    method=(Step("let the certificate expire", _let_expire, _renew),),
    is_broken=_is_refused,
    recovery=Recovery("set-up-certificate"),
    is_recovered=_is_trusted,
    rto_seconds=300,
    abort=Abort(after_seconds=600),
)

SCENARIOS = (EXPIRED_CERTIFICATE,)
