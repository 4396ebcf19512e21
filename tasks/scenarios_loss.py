"""Drills of a total loss, of the database or of everything: only a procedure and the backups bring it back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

from tasks import application, autoscaling, deleted_rows, destruction, launch_template, rds
from tasks.database_recovery import RETIRE_AFTER
from tasks.drill import Abort, BlastRadius, Recovery, Scenario, Situation, Step, Target
from tasks.environment import Environment, EnvironmentName, describe_environment
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.lost_database import RESTORED_FROM, RESTORING_FROM
from tasks.rds import DBInstance
from tasks.report import say

PROCEDURE = "recover-infrastructure"
EXPENDABLE = ("dev",)  # where people work who were told; production is never lost on purpose
RPO_SECONDS = 3600.0  # AWS ships the log every 5 minutes; an instance takes some more until it is gone
# Whatever is made again is paid for by the hour that has begun, rounded up: instances, gateway and load balancer.
DB_USD, EVERYTHING_USD = 0.15, 1.0
# Where all is destroyed, its alarms are too: whoever watches them from outside has to miss them.
OUTAGE = Abort(("-high-5xx-errors", "-high-elb-5xx-errors", "-unhealthy-hosts", "-no-healthy-hosts"), 900)


def _database_of(where: Environment) -> BlastRadius:
    db = rds.describe_db_instance.fn(where.db_identifier)
    require_recoverable(where, db)
    users = "requests that need the database fail until it is restored; what was written in the last minutes is lost"
    return BlastRadius((Target("RDS instance", db.id),), users, DB_USD)


def _everything_of(where: Environment) -> BlastRadius:
    db = rds.describe_db_instance.fn(where.db_identifier)
    require_recoverable(where, db)
    require_nothing_kept(where)
    group = autoscaling.describe_group.fn(where.asg_name)
    targets = (
        Target("RDS instance", db.id),
        Target("Auto Scaling group", group.name),
        Target("load balancer", where.alb_arn),
        Target("all else in Terraform's state but", destruction.SPARED),
    )
    users = (
        "nobody is served until everything is built again, at another address of the load balancer; what was written"
        " in the last minutes is lost, and so are the logs"
    )
    return BlastRadius(targets, users, EVERYTHING_USD)


def require_recoverable(where: Environment, db: DBInstance) -> None:
    """
    Raises:
        PreconditionFailed: it is production, or there is no backup that would bring it back. Nothing was changed.
    """
    if where.environment not in EXPENDABLE or db.deletion_protection:
        raise PreconditionFailed(
            f"{db} of {where} is not there to be lost, expected an environment of {', '.join(EXPENDABLE)} without"
            " deletion protection. Nothing was changed. Run this drill in dev"
        )
    if db.id != f"{where}-db" or db.tags.get(RESTORING_FROM):
        raise PreconditionFailed(
            f"{db} serves {where}, expected {where}-db, and that no restore is on its way. Nothing was changed. End the"
            f" recovery first: python -m flows.{PROCEDURE.replace('-', '_')} --environment {where.environment}"
        )
    if not db.backup_retention_days or db.latest_restorable_time is None:
        raise PreconditionFailed(
            f"{db} has no automated backups to come back from, expected some days of them. Nothing was changed. Set"
            " backup_retention_days, and wait until the first backup is made"
        )


def require_nothing_kept(where: Environment) -> None:
    """
    Raises:
        PreconditionFailed: an instance that a recovery put aside stands in the network that would go.
    """
    if kept := [db.id for db in rds.find_tagged(RETIRE_AFTER) if db.id.startswith(f"{where}-db")]:
        raise PreconditionFailed(
            f"{', '.join(kept)} is kept by a recovery, expected none: the network around it can't be destroyed, and it"
            " is not there to be lost. Nothing was changed. When its day has come:"
            f" python -m flows.retire_database --environment {where.environment} --instance {kept[0]}"
        )


def _find_missing(environment: str) -> list[str]:
    """Asked by the names that hold now: what was built anew may have others than what was lost."""
    try:
        where = describe_environment.fn(environment)
    except PreconditionFailed as lost:
        return [str(lost)]
    reasons, db = application.find_faults(where), rds.find(where.db_identifier)
    if db is None or db.status == "deleting" or RESTORING_FROM in db.tags:
        told = f"{db!r} and not accepted yet" if db else "gone"
        reasons.append(f"RDS instance {where.db_identifier} is {told}, expected it back")
    return reasons


def _is_whole(situation: Situation) -> list[str]:
    where, memory = situation.environment, situation.memory
    reasons = _find_missing(where.environment)
    if "digest" in memory and not reasons and deleted_rows.digest_rows.fn(where, memory["ids"]) != memory["digest"]:
        reasons.append(f"the {len(memory['ids'])} newest items of before are not what they were, expected the same")
    return reasons


def _lose(situation: Situation, lose: Callable[[Situation], None]) -> None:
    """Once what is remembered is in the backups; never what somebody has restored meanwhile."""
    where, memory = situation.environment, situation.memory
    if "digest" not in memory:
        _remember(situation)
    db = rds.find(where.db_identifier)
    if db and db.resource_id != memory["resource_id"]:
        return
    if db and db.status != "deleting":
        destruction.wait_until_backed_up(db.id, datetime.fromisoformat(memory["written"]))
    lose(situation)
    if "lost_at" not in memory:
        situation.remember("lost_at", datetime.now(UTC).isoformat())


def _remember(situation: Situation) -> None:
    where = situation.environment
    group = autoscaling.describe_group(where.asg_name)
    running = launch_template.describe_version(group.template_id, group.template_version)
    situation.remember("image", running.configuration.digest)
    situation.remember("resource_id", rds.describe_db_instance(where.db_identifier).resource_id)
    situation.remember("ids", deleted_rows.find_newest_items(where))
    digest = deleted_rows.digest_rows(where, situation.memory["ids"])
    situation.remember("written", (datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    situation.remember("digest", digest)


def _delete(situation: Situation) -> None:
    _lose(situation, lambda it: destruction.delete_database(it.environment.db_identifier))


def _destroy(situation: Situation) -> None:
    def destroy(it: Situation) -> None:
        assert it.lease  # noqa: S101 - a step is done only by who holds the environment
        destruction.destroy(cast(EnvironmentName, it.environment.environment), it.memory["image"], it.lease)

    _lose(situation, destroy)


def _bring_back(situation: Situation) -> None:
    """By the procedure, if anything is missing still; nothing else can."""
    where = situation.environment
    destruction.wait_while_deleting(where.db_identifier)
    if missing := _find_missing(where.environment):
        say(f"{'; '.join(missing)}: {PROCEDURE} is to bring it back")
        situation.start(PROCEDURE, {"environment": where.environment, **_release(situation)})
        if left := _find_missing(where.environment):
            raise VerificationFailed(f"{'; '.join(left)}, although {PROCEDURE} has ended well. Look at its report")


def _release(situation: Situation) -> dict[str, str]:
    return {"image": situation.memory["image"]} if "image" in situation.memory else {}


def _lacks_database(situation: Situation) -> list[str]:
    db = rds.find(situation.environment.db_identifier)
    return [f"{db} is {db!r}, expected it gone"] if db else []


def _lacks_everything(situation: Situation) -> list[str]:
    reasons, group = _lacks_database(situation), autoscaling.find_group(situation.environment.asg_name)
    return [*reasons, f"Auto Scaling group {group.name} is there, expected it gone"] if group else reasons


def _seconds_lost(situation: Situation) -> float:
    """At most: from what the backup holds until the instance was seen to be gone."""
    db = rds.describe_db_instance.fn(situation.environment.db_identifier)
    held = datetime.fromisoformat(db.tags[RESTORED_FROM].rpartition("@")[2])
    return max(0.0, (datetime.fromisoformat(situation.memory["lost_at"]) - held).total_seconds())


LOST_DATABASE = Scenario(
    name="lost-database",
    question="Somebody deleted the database instance: does it come back from its retained backups, with its rows?",
    resolve=_database_of,
    steady=_is_whole,
    method=(Step("delete the database instance", _delete, _bring_back),),
    is_broken=_lacks_database,
    recovery=Recovery(PROCEDURE, _release),
    is_recovered=_is_whole,
    rto_seconds=2 * 3600,
    rpo_seconds=RPO_SECONDS,
    lost_seconds=_seconds_lost,
    abort=OUTAGE,
)

WHOLE_ENVIRONMENT = Scenario(
    name="whole-environment",
    question="Somebody destroyed the environment with Terraform: is it built again, with its rows, and served?",
    resolve=_everything_of,
    steady=_is_whole,
    method=(Step("destroy all but the backups", _destroy, _bring_back),),
    is_broken=_lacks_everything,
    recovery=Recovery(PROCEDURE, _release),
    is_recovered=_is_whole,
    rto_seconds=4 * 3600,
    rpo_seconds=RPO_SECONDS,
    lost_seconds=_seconds_lost,
    abort=OUTAGE,
)

SCENARIOS = (LOST_DATABASE, WHOLE_ENVIRONMENT)
