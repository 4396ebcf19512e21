"""Fail the database over to its standby in the other zone, and measure how long its clients went without it.

When:     the primary or its zone is sick and RDS has not acted by itself; and as a proof that a failover works.
Impact:   every connection to the database ends and nobody is served for typically 60 to 120 s; no commit is lost.
Rollback: fail over again: the old primary is the standby now.

Carries out P44 and P83 (and N16).
"""

import json
from datetime import UTC, datetime

from tasks import application, approval, autoscaling, downtime, failover, gate, rds, rds_events
from tasks import change_lock as lock
from tasks.command_line import run
from tasks.environment import Environment, EnvironmentName, describe_environment
from tasks.failover import Failover
from tasks.parameters import PlanHash
from tasks.procedure import procedure
from tasks.report import phase, say

NAME = "fail-over-database"


@procedure
def fail_over_database(environment: EnvironmentName, approved_plan: PlanHash = None, dry_run: bool = False) -> str:
    """Promote the standby of a Multi-AZ database; returns, as JSON, how long each kind of client was not served.

    What is `measured` was seen from its beginning on; else a run was killed, and the seconds are the most it can be.

    Args:
        environment: Whose database.
        approved_plan: Hash of the plan that a person has approved, as a dry run showed it; empty asks now.
        dry_run: Stop after the plan and change nothing.
    """
    with phase("check"):
        where = describe_environment(environment)
        lock.require_free(environment)
        if rds.describe_db_instance(where.db_identifier).status != "available":
            rds_events.say_last_day(where.db_identifier)
        known = failover.find_failover(where)
    with phase("plan"):
        plan = known.plan if known else failover.plan_failover(environment, rds.settle(where.db_identifier))
        say(f"plan {plan.hash}: {plan}")
        if known:
            say(f"it was begun at {known.begun_at:%H:%M:%S} UTC by a run that did not end: this one proves it")
    if dry_run:
        return plan.hash
    if known is None:
        with phase("approve"):
            approval.require_approval(environment, plan.hash, str(plan), approved_plan, people=2)
    with lock.change_lock(environment, NAME) as lease, downtime.watch(where) as watch:
        with phase("apply"):
            gate.enter(environment, purpose="cure")
            lease.require_held()
            begun = failover.begin_failover(where, plan)
            db = failover.wait_until_swapped(plan)
        with phase("verify"):
            failover.require_swapped(plan, db)
            seen = watch.wait_until_served()
            served_after = (datetime.now(UTC) - begun.begun_at).total_seconds()
            _require_reconnected(where, begun)
            downtime.say_downtimes(seen)
            say(f"{db} is in {db.zone}, its standby in {db.standby_zone}")
            failover.record_proven(where, begun)
    found = {one.client: round(one.seconds, 1) for one in seen}
    if known:
        say(f"this run saw only its end: all were served again at most {served_after:.0f} s after it was begun")
        found = dict.fromkeys(found, round(served_after, 1))
    return json.dumps({"zone": db.zone, "measured": known is None, "downtime_seconds": found})


def _require_reconnected(where: Environment, begun: Failover) -> None:
    """By themselves: the same instances as before, and every one of them serves."""
    group = autoscaling.describe_group(where.asg_name)
    ids = tuple(instance.id for instance in group.in_service)
    failover.require_same_instances(begun, ids)
    application.require_every_instance_serves(where, ids, ())
    say(f"{len(ids)} instances reconnected by themselves")


if __name__ == "__main__":
    run(fail_over_database)
