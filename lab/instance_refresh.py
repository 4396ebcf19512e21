"""The instance refresh as a state machine: what to do next, given a snapshot of the group.

Knows neither moto nor a clock; lab.instance_refreshes feeds it. Sources: EC2 Auto Scaling user guide, "How an
instance refresh works", "Understand the default values", "Add checkpoints", "Undo changes with a rollback".
"""

from collections.abc import Callable
from dataclasses import dataclass

from lab.refresh_progress import Group, Progress, Refresh, progress, what_it_waits_for
from lab.replacement import Capacity, bounds, next_step

# "The operation goes into Pending status while it is initializing. The status should then quickly change".
PENDING_SECONDS = 5.0
# The guide's one-hour timeout: unable to make replacements, it "keeps retrying for an hour", then fails.
STUCK_SECONDS = 3600.0
# AWS names launch failures as a reason to fail, but no number: ours lets a broken template be told soon.
LAUNCH_FAILURES = 3

CAN_BE_CANCELLED = ("Pending", "InProgress", "Baking", "RollbackInProgress")
CAN_BE_ROLLED_BACK = ("Pending", "InProgress", "Baking")


@dataclass(frozen=True)
class Orders:
    """What the group must do now: end these instances, and keep so many more than desired."""

    terminate: tuple[str, ...] = ()
    surplus: int = 0


def advance(refresh: Refresh, group: Group) -> Orders:
    """One step of an active refresh."""
    states: dict[str, Callable[[Refresh, Group], Orders]] = {
        "Pending": _begin,
        "InProgress": _replace,
        "Baking": _bake,
        "Cancelling": _wind_down,
        "RollbackInProgress": _replace,
    }
    orders = states[refresh.status](refresh, group)
    refresh.surplus = orders.surplus
    return orders


def cancel(refresh: Refresh, wait_for_transitions: bool) -> None:
    """Stop replacing. Nothing is undone, and the group keeps the configuration that it had."""
    if wait_for_transitions:
        refresh.status, refresh.status_reason = "Cancelling", "Cancelling due to user request."
    else:
        refresh.end("Cancelled", "Cancelled due to user request.")


def roll_back(refresh: Refresh, group: Group, reason: str) -> None:
    """From here on the updated instances are the ones to be replaced, by the group's own configuration."""
    members = frozenset(one.instance_id for one in group.members)
    before = members if refresh.status == "Pending" else refresh.originals
    refresh.rollback_details = {
        "RollbackReason": reason,
        "PercentageCompleteOnRollback": refresh.percentage_complete,
        "InstancesToUpdateOnRollback": refresh.instances_to_update,
    }
    refresh.originals, refresh.untouched = members - before, members & before
    refresh.status, refresh.status_reason = "RollbackInProgress", reason
    refresh.wait_until, refresh.progress_at, refresh.best = None, group.now, 0


def _begin(refresh: Refresh, group: Group) -> Orders:
    refresh.originals = frozenset(one.instance_id for one in group.members)
    refresh.instances_to_update = progress(refresh, group).total
    if group.now >= refresh.started + PENDING_SECONDS:
        refresh.status, refresh.progress_at = "InProgress", group.now
    return Orders()


def _replace(refresh: Refresh, group: Group) -> Orders:
    now = progress(refresh, group)
    _report(refresh, group, now)
    if failure := _failure(refresh, group):
        return _fail(refresh, group, failure)
    if now.is_complete or _has_done_its_share(refresh, now):
        return _finish(refresh, group)
    if _pauses_at_checkpoint(refresh, group, now):
        return Orders()
    orders = Orders(surplus=refresh.surplus) if group.suspended else _next_orders(refresh, group, now)
    if orders.terminate:
        refresh.progress_at = group.now
    return orders


def _report(refresh: Refresh, group: Group, now: Progress) -> None:
    if now.done > refresh.best:
        refresh.best, refresh.progress_at = now.done, group.now
    refresh.status_reason = what_it_waits_for(refresh, now)
    refresh.percentage_complete = now.percentage
    refresh.instances_to_update = now.total - now.done
    if refresh.is_rollback and (then := refresh.rollback_details):
        still_updated = now.total - now.done
        share = 100 * still_updated // group.desired if group.desired else 0
        refresh.percentage_complete = min(share, then["PercentageCompleteOnRollback"])
        refresh.instances_to_update = max(group.desired - still_updated, then["InstancesToUpdateOnRollback"])


def _failure(refresh: Refresh, group: Group) -> str | None:
    if group.alarms and not refresh.is_rollback:
        return f"The CloudWatch alarms {', '.join(group.alarms)} are in ALARM state."
    if group.launch_failures >= LAUNCH_FAILURES:
        return f"{group.launch_failures} launches in a row failed. Look at the scaling activities."
    if group.now > refresh.progress_at + refresh.preferences["InstanceWarmup"] + STUCK_SECONDS:
        return f"There was no progress for an hour. {refresh.status_reason or ''}".strip()
    return None


def _fail(refresh: Refresh, group: Group, reason: str) -> Orders:
    if refresh.is_rollback:
        refresh.end("RollbackFailed", reason)
    elif refresh.preferences["AutoRollback"] and refresh.can_roll_back:
        roll_back(refresh, group, f"Automatic rollback was initiated: {reason}")
        return Orders(surplus=refresh.surplus)  # else the group would scale in, and oldest instances first
    else:
        refresh.end("Failed", reason)
    return Orders()


def _finish(refresh: Refresh, group: Group) -> Orders:
    if refresh.is_rollback:
        refresh.end("RollbackSuccessful", (refresh.rollback_details or {}).get("RollbackReason"))
    elif bake := refresh.preferences.get("BakeTime"):
        refresh.status, refresh.wait_until = "Baking", group.now + bake
        refresh.status_reason = "Waiting for the bake time to pass."
    else:
        refresh.end("Successful")
    return Orders()


def _bake(refresh: Refresh, group: Group) -> Orders:
    if group.alarms:
        return _fail(refresh, group, f"The CloudWatch alarms {', '.join(group.alarms)} are in ALARM state.")
    if refresh.wait_until is None or group.now >= refresh.wait_until:
        refresh.end("Successful")
    return Orders()


def _wind_down(refresh: Refresh, group: Group) -> Orders:
    """A cancelled refresh lets the launches and terminations under way come to their end."""
    if not group.has_any("Pending", "Terminating"):
        refresh.end("Cancelled", "Cancelled due to user request.")
    return Orders()


def _checkpoints(refresh: Refresh) -> list[int]:
    """Up to which percentages it replaces without a pause. The last one is its end."""
    return [100] if refresh.is_rollback else refresh.preferences.get("CheckpointPercentages") or [100]


def _has_done_its_share(refresh: Refresh, now: Progress) -> bool:
    last = _checkpoints(refresh)[-1]
    return last < 100 and now.percentage >= last and now.excess <= 0 and not now.leaving


def _pauses_at_checkpoint(refresh: Refresh, group: Group, now: Progress) -> bool:
    checkpoints = _checkpoints(refresh)
    if refresh.wait_until is None:
        reached = [n for n, one in enumerate(checkpoints[:-1]) if one <= now.percentage]
        if now.excess > 0 or not reached or reached[-1] < refresh.checkpoints_passed:
            return False
        # A replacement can overtake checkpoints: only the highest one it reached makes a pause.
        refresh.checkpoints_passed = reached[-1]
        refresh.wait_until = group.now + refresh.preferences["CheckpointDelay"]
    refresh.progress_at = group.now
    if group.now >= refresh.wait_until:
        refresh.wait_until = None
        refresh.checkpoints_passed += 1
        return False
    refresh.status_reason = (
        f"Checkpoint of {checkpoints[refresh.checkpoints_passed]} % reached, waiting for the checkpoint delay."
    )
    return True


def _next_orders(refresh: Refresh, group: Group, now: Progress) -> Orders:
    wish = refresh.preferences
    limits = bounds(group.desired, wish["MinHealthyPercentage"], wish.get("MaxHealthyPercentage"))
    # These are no capacity: those on standby, and in a rollback all that never became healthy.
    worthless = [one for one in now.old if one.is_on_standby or (refresh.is_rollback and not one.is_healthy)]
    old = [one for one in now.old if one not in worthless]
    replaceable = [one for one in old if one.is_healthy]
    until = _checkpoints(refresh)[min(refresh.checkpoints_passed, len(_checkpoints(refresh)) - 1)]
    started = max(0, now.total - len(now.old) - len(now.blocked))
    budget = max(0, -(-now.total * until // 100) - started)
    step = next_step(limits, Capacity(group.desired, now.healthy, len(old), budget))
    ended = worthless + replaceable[: step.terminate]
    return Orders(tuple(one.instance_id for one in ended), step.surplus)
