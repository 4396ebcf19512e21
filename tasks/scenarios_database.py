"""Drills of the database: it has no connection left."""

from tasks import application, held_connections, sessions
from tasks.drill import Abort, BlastRadius, Recovery, Scenario, Situation, Step, Target
from tasks.environment import Environment

# The alarm on connections stands at 80 %; a drill begins below it.
STEADY_SHARE = 0.8
IDLE_MINUTES = 1.0  # what a drill holds on to is found by its idleness alone, as anybody else's would be


def _connections_of(environment: Environment) -> BlastRadius:
    return BlastRadius(
        (Target("RDS instance", environment.db_identifier),),
        "requests get 503 where the application needs more connections than it has open, until the idle ones are ended",
        0.0,
    )


def _has_connections(situation: Situation) -> list[str]:
    where = situation.environment
    usage = sessions.plan_end.fn(where.environment, 0.0)
    health = application.describe_health.fn(where)
    reasons = [] if health.is_well else [f"{where.alb_url}/health answered {health}, expected healthy and connected"]
    if usage.used > STEADY_SHARE * usage.allowed:
        reasons.append(f"{usage.used} of {usage.allowed} connections are in use, expected at most {STEADY_SHARE:.0%}")
    if held := [one for one in usage.sessions if one.application == situation.name]:
        reasons.append(f"{len(held)} sessions of {situation.name} are still there, expected none")
    return reasons


def _hold_connections(situation: Situation) -> None:
    held_connections.hold_connections(situation.environment.environment, situation.name)


def _let_go_of_connections(situation: Situation) -> None:
    held_connections.let_go(situation.name)
    sessions.terminate_application(situation.environment.environment, situation.name)


def _has_no_connection_left(situation: Situation) -> list[str]:
    usage = sessions.plan_end.fn(situation.environment.environment, 0.0)
    held = [one for one in usage.sessions if one.application == situation.name]
    reasons = []
    if usage.free > held_connections.SPARE:
        reasons.append(f"{usage.free} connections are free, expected at most {held_connections.SPARE}")
    if not held or min(one.idle_seconds for one in held) <= IDLE_MINUTES * 60:
        reasons.append(f"{len(held)} sessions are held, not all idle for {IDLE_MINUTES:g} minutes yet")
    return reasons


EXHAUSTED_CONNECTIONS = Scenario(
    name="exhausted-connections",
    question="An application leaks connections until the database has none left: do we get them back in time?",
    resolve=_connections_of,
    steady=_has_connections,
    method=(Step("hold every connection", _hold_connections, _let_go_of_connections),),
    is_broken=_has_no_connection_left,
    recovery=Recovery("end-idle-sessions", lambda _: {"idle_minutes": IDLE_MINUTES}),
    is_recovered=_has_connections,
    rto_seconds=600,
    abort=Abort(("-high-5xx-errors", "-slow-responses"), after_seconds=900),
)

SCENARIOS = (EXHAUSTED_CONNECTIONS,)
