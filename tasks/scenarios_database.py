"""Drills of the database: it has no connection left, or somebody deleted rows."""

from datetime import datetime

from tasks import application, deleted_rows, held_connections, sessions
from tasks import database_recovery as recovery
from tasks.database_recovery import Recovery as Recovered
from tasks.drill import Abort, BlastRadius, Recovery, Scenario, Situation, Step, Target
from tasks.environment import Environment
from tasks.errors import VerificationFailed

# The alarm on connections stands at 80 %; a drill begins below it.
STEADY_SHARE = 0.8
KEPT_DAYS = 1
# About what a Multi-AZ db.t3.medium with PostgreSQL costs, rounded up; a larger class costs more.
DB_HOUR_USD = 0.15
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
    reasons = application.find_faults(where)
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

# --- accidental DELETE


def _items_of(environment: Environment) -> BlastRadius:
    ids = deleted_rows.find_newest_items.fn(environment)
    targets = (Target("RDS instance", environment.db_identifier), Target("items", f"{min(ids)} to {max(ids)}"))
    users = (
        f"{len(ids)} items are not there until they are recovered; nobody can write for the minutes of the cut-over,"
        " and what is written from the deletion until then is lost"
    )
    return BlastRadius(targets, users, round(KEPT_DAYS * 24 * DB_HOUR_USD, 2))


def _has_items(situation: Situation) -> list[str]:
    where = situation.environment
    reasons, last = application.find_faults(where), recovery.find(where.environment)
    if last and last.is_unfinished:
        reasons.append(recovery.describe_unfinished(last))
    return reasons


def _delete_items(situation: Situation) -> None:
    where = situation.environment
    if "ids" not in situation.memory:
        situation.remember("ids", deleted_rows.find_newest_items(where))
    ids = situation.memory["ids"]
    if "damaged_at" not in situation.memory:
        situation.remember("damaged_at", deleted_rows.keep_rows(where, situation.name, ids).isoformat())
    deleted_rows.delete_rows(where, ids)


def _recovery_of(situation: Situation) -> Recovered | None:
    """The recovery that this drill has begun."""
    last = recovery.find(situation.environment.environment)
    damaged_at = datetime.fromisoformat(situation.memory["damaged_at"])
    return last if last and datetime.fromisoformat(last.damaged_at) == damaged_at else None


def _bring_items_back(situation: Situation) -> None:
    """What was recovered stays: only then the damaged instance is of use to nobody, and retired on its day."""
    if "damaged_at" in situation.memory:
        last = _recovery_of(situation)
        if last and last.is_unfinished:
            raise VerificationFailed(recovery.describe_unfinished(last))
        if last is None:
            deleted_rows.bring_back_rows(situation.environment, situation.name)
    deleted_rows.forget_rows(situation.environment, situation.name)


def _lacks_items(situation: Situation) -> list[str]:
    left = deleted_rows.count_rows.fn(situation.environment, situation.memory["ids"])
    return [f"{left} of the deleted items are there, expected none"] if left else []


def _has_them_again(situation: Situation) -> list[str]:
    ids, reasons = situation.memory["ids"], _has_items(situation)
    if (found := deleted_rows.count_rows.fn(situation.environment, ids)) != len(ids):
        reasons.append(f"{found} of {len(ids)} deleted items are there, expected all")
    return reasons


def _seconds_lost(situation: Situation) -> float:
    """From the point to which it was recovered until nobody could write any more."""
    last = _recovery_of(situation)
    assert last  # noqa: S101 - asked once it has recovered
    return (datetime.fromisoformat(last.closed_at) - datetime.fromisoformat(last.point)).total_seconds()


ACCIDENTAL_DELETE = Scenario(
    name="accidental-delete",
    question="Somebody deleted rows: do we get them back, and what is lost by it?",
    resolve=_items_of,
    steady=_has_items,
    method=(Step("delete the newest items", _delete_items, _bring_items_back),),
    is_broken=_lacks_items,
    recovery=Recovery("recover-database", lambda it: {"damaged_at": it.memory["damaged_at"], "keep_days": KEPT_DAYS}),
    is_recovered=_has_them_again,
    rto_seconds=4 * 3600,
    rpo_seconds=4 * 3600,  # production goes on to take writes while its copy is restored and verified
    lost_seconds=_seconds_lost,
    abort=Abort(("-high-5xx-errors", "-high-elb-5xx-errors", "-unhealthy-hosts", "-no-healthy-hosts"), 900),
)

SCENARIOS = (EXHAUSTED_CONNECTIONS, ACCIDENTAL_DELETE)
