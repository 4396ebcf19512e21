"""Drills of an Availability Zone and of the standby in another one: half of everything is away, or changes places."""

from tasks import application, autoscaling, elbv2, failover, network_acls, rds
from tasks.drill import Abort, BlastRadius, Recovery, Scenario, Situation, Step, Target
from tasks.environment import Environment
from tasks.errors import PreconditionFailed

VISITS = 10
FEWEST_ZONES = 2


def _serves(situation: Situation) -> list[str]:
    """Every one of some requests in a row is answered well, and the database is there."""
    where, reasons = situation.environment, []
    failed = [one.answer for one in application.visit(where, VISITS) if not one.answer.is_well]
    if failed:
        reasons.append(f"{len(failed)} of {VISITS} requests to {where.alb_url}/ready failed: {failed[-1]}")
    db = rds.describe_db_instance.fn(where.db_identifier)
    if db.status != "available":
        reasons.append(f"{db} is {db.status!r}, expected 'available'")
    return reasons


# --- lost zone


def _one_zone(where: Environment) -> BlastRadius:
    """The database's, when it has a standby elsewhere; else one in which it is not.

    Raises:
        PreconditionFailed: nothing would be left. Nothing was changed.
    """
    subnets = autoscaling.find_subnets.fn(where.asg_name)
    zones, db = network_acls.find_zones.fn(subnets), rds.describe_db_instance.fn(where.db_identifier)
    serving = {one.zone for one in autoscaling.describe_group.fn(where.asg_name).in_service}
    away = [one for one in zones if (db.multi_az and one == db.zone) or (not db.multi_az and one != db.zone)]
    if len(zones) < FEWEST_ZONES or not away or not serving - {away[0]}:
        raise PreconditionFailed(
            f"{where} has subnets in {', '.join(zones)}, serves from {', '.join(sorted(serving)) or 'nowhere'} and has"
            f" {db} in {db.zone} with {'a' if db.multi_az else 'no'} standby, expected something left when a zone is"
            " lost: more instances, or a database with a standby. Nothing was changed"
        )
    cut = network_acls.find_subnets.fn(subnets[0], away[0])
    targets = (Target("Availability Zone", away[0]), *(Target("subnet", one) for one in cut))
    users = f"requests to instances in {away[0]} fail until the load balancer stops sending there"
    if db.zone == away[0]:
        users += f"; nobody is served for a minute or two while {db} fails over"
    return BlastRadius(targets, users, 0.0)


def _subnets(situation: Situation) -> tuple[str, ...]:
    return tuple(one.id for one in situation.targets[1:])


def _cut_off(situation: Situation) -> None:
    if "acls" not in situation.memory:
        situation.remember("acls", network_acls.describe_acls(_subnets(situation)))
    network_acls.cut_off_subnets(_subnets(situation), situation.name)


def _connect(situation: Situation) -> None:
    if acls := situation.memory.get("acls"):
        network_acls.connect_subnets(acls, situation.name)


def _sees_zone_gone(situation: Situation) -> list[str]:
    """The load balancer has noticed it: that is what takes its time."""
    where, zone = situation.environment, situation.targets[0].id
    there = {one.id for one in autoscaling.describe_group.fn(where.asg_name).instances if one.zone == zone}
    well = [one for one in elbv2.describe_targets.fn(where) if one.id in there and one.state == "healthy"]
    acls = set(network_acls.describe_acls.fn(_subnets(situation)).values())
    reasons = [f"{one} is healthy, expected none in {zone}" for one in well]
    return reasons + ([] if acls.isdisjoint(situation.memory["acls"].values()) else [f"{zone} is not cut off yet"])


def _serves_without_zone(situation: Situation) -> list[str]:
    zone, reasons = situation.targets[0].id, _serves(situation)
    db = rds.describe_db_instance.fn(situation.environment.db_identifier)
    return [*reasons, f"{db} is in {zone} still, expected it in another zone"] if db.zone == zone else reasons


LOST_ZONE = Scenario(
    name="lost-zone",
    question="Does the environment go on without one of its Availability Zones, and by itself?",
    resolve=_one_zone,
    steady=_serves,
    method=(Step("cut the zone's subnets off", _cut_off, _connect),),
    is_broken=_sees_zone_gone,
    recovery=None,
    is_recovered=_serves_without_zone,
    rto_seconds=600,
    abort=Abort(("-unhealthy-hosts", "-no-healthy-hosts", "-5xx-errors"), after_seconds=1200),
)

# --- database failover


def _primary(where: Environment) -> BlastRadius:
    db = rds.describe_db_instance.fn(where.db_identifier)
    failover.plan_failover(where.environment, db)  # refuses what has no standby
    users = "every connection to the database ends, and nobody is served for typically 60 to 120 s"
    return BlastRadius((Target("RDS instance", db.id), Target("Availability Zone", db.zone)), users, 0.0)


def _begin(situation: Situation) -> None:
    """Once: another attempt of this drill finds what the first one has begun."""
    where = situation.environment
    plan = failover.plan_failover(where.environment, rds.settle(where.db_identifier))
    if "to_zone" not in situation.memory:
        situation.remember("to_zone", plan.to_zone)
    if plan.to_zone == situation.memory["to_zone"]:
        failover.begin_failover(where, plan)


def _end(situation: Situation) -> None:
    """The standby in the other zone is as good as the primary was: there it stays."""
    where = situation.environment
    if "to_zone" not in situation.memory:
        return
    if known := failover.find_failover(where):
        failover.wait_until_swapped(known.plan)
    failover.forget_failover(where)


def _is_failing_over(situation: Situation) -> list[str]:
    where = situation.environment
    return [] if failover.find_failover.fn(where) else [f"{situation.targets[0]} does not fail over"]


def _has_failed_over(situation: Situation) -> list[str]:
    reasons, wanted = _serves(situation), situation.memory["to_zone"]
    db = rds.describe_db_instance.fn(situation.environment.db_identifier)
    return reasons if db.zone == wanted else [*reasons, f"{db} is in {db.zone}, expected it in {wanted}"]


DATABASE_FAILOVER = Scenario(
    name="database-failover",
    question="The database's primary is lost: does the standby take over, and the application find it by itself?",
    resolve=_primary,
    steady=_serves,
    method=(Step("fail the primary over", _begin, _end),),
    is_broken=_is_failing_over,
    recovery=Recovery("fail-over-database"),  # it finds the failover on its way, and proves it
    is_recovered=_has_failed_over,
    rto_seconds=300,
    abort=Abort(("-no-healthy-hosts", "-unhealthy-hosts", "-5xx-errors"), after_seconds=900),
)

SCENARIOS = (LOST_ZONE, DATABASE_FAILOVER)
