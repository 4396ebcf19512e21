"""What a recovery will do, what it costs, and what it took: planned from what there is, told to the operator."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from tasks import change_lock, losses, production_database, rds
from tasks.database_recovery import Recovery, Request
from tasks.environment import Environment
from tasks.errors import PreconditionFailed
from tasks.kinds import probe
from tasks.postgres import Address
from tasks.rds import GONE, DBInstance
from tasks.report import say
from tasks.residue_kinds import RUN_ID


@probe
def plan_recovery(environment: Environment, asked: Request) -> Recovery:
    """
    Raises:
        PreconditionFailed: there is no such backup, or production is in no state to be recovered.
    """
    production = production_database.describe_production.fn(environment)
    is_lost = production.status == GONE
    point = production_database.choose_point.fn(production, asked.restore_point, datetime.now(UTC))
    say(f"{production} is {production.status!r}; it would be restored from {point}")
    if is_lost and asked.cut_over == "endpoint":
        raise PreconditionFailed(
            f"{production} is gone and its name is free, expected --cut-over rename: there is nothing to keep beside it"
        )
    if RUN_ID in production.tags:
        raise PreconditionFailed(f"{production} is marked as a run's temporary copy, expected production")
    return Recovery(
        environment=asked.environment,
        run_id=change_lock.run_id(),
        serving=production.id,
        source=production.resource_id,
        is_lost=is_lost,
        is_protected=production.deletion_protection,
        damaged_at=asked.damaged_at.isoformat(),
        point=asked.restore_point,
        cut_over=asked.cut_over,
        damage=asked.damage,
        keep_days=asked.keep_days,
    )


@probe
def describe_source(environment: Environment, plan: Recovery) -> DBInstance:
    """What is restored from: the damaged instance, or what is known of the one that is gone.

    Raises:
        PreconditionFailed: it is not what it was when the recovery was planned.
    """
    found = rds.find_by_resource_id(plan.source)
    if found:
        return rds.settle.fn(found.id)
    if plan.is_lost:
        return production_database.describe_production.fn(environment)
    raise PreconditionFailed(
        f"the damaged instance {plan.source} is gone, expected it to be there as when this recovery was planned. Take"
        f" it back (undo_recovery --environment {plan.environment}) and start another: it restores what is left"
    )


def describe_losses(plan: Recovery, damaged: Address) -> str:
    """What the damaged database has from after the point, and the recovered one has not."""
    point = _moment(plan.point)
    if point is None:
        return f"what was written after snapshot {plan.point} is lost"
    return f"lost is what was {losses.find_writes(damaged, point)}"


def show_losses(plan: Recovery) -> None:
    """As of now; production still takes writes, so that the last word comes when it is closed to them."""
    damaged = None if plan.is_lost else rds.find_by_resource_id(plan.source)
    if damaged is None or damaged.address is None:
        say("the damaged instance is gone: what was written after the point can't be counted")
        return
    address = production_database.read_address(plan.environment, damaged)
    if point := _moment(plan.point):
        say(losses.describe_last_heartbeat(address, point))
    say(describe_losses(plan, address))


def describe_times(plan: Recovery) -> Iterator[str]:
    """Phases that add up to the RTO; each time was recorded when it was reached, also by a run that was killed."""
    marks = [
        ("damaged", plan.damaged_at),
        ("begun", plan.begun_at),
        ("verified", plan.verified_at),
        ("closed to writers", plan.closed_at),
        ("let writers in", plan.let_in_at),
        ("serving", plan.serving_at),
    ]
    yield "| from | to | took |"
    yield "|---|---|---|"
    for (before, since), (after, until) in pairwise(marks):
        yield f"| {before} | {after} | {_seconds(since, until):.1f} s |"
    yield f"RTO: {_seconds(plan.damaged_at, plan.serving_at):.0f} s from the damage to serving again"
    yield f"writers were kept out for {_seconds(plan.closed_at, plan.serving_at):.0f} s"
    if point := _moment(plan.point):
        until = "" if plan.is_lost else f", up to {plan.closed_at}: {_seconds(plan.point, plan.closed_at):.0f} s"
        yield f"RPO: lost is what was written after {point.isoformat()}{until}"
    yield f"undo was free of loss until {plan.let_in_at}; what is written since would be lost by it"


def _moment(point: str) -> datetime | None:
    try:
        return datetime.fromisoformat(point)
    except ValueError:
        return None


def _seconds(since: str, until: str) -> float:
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()
