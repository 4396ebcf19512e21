"""Whether a recovery can be taken back, what that would lose, and where the recovered instance ends."""

import hashlib
from datetime import datetime

from tasks import losses, production_database, rds, recovered_copy, swap
from tasks.database_recovery import Recovery
from tasks.errors import PreconditionFailed
from tasks.kinds import action
from tasks.report import say


def require_undoable(found: Recovery | None, environment: str) -> Recovery:
    """
    Raises:
        PreconditionFailed: there is none, or there is nothing to go back to. Nothing was changed.
    """
    if found is None:
        raise PreconditionFailed(
            f"there is no recovery of {environment} to undo, expected one that was begun and not undone"
        )
    if found.is_lost and found.verified_at:
        raise PreconditionFailed(
            f"{found}: the instance before it is gone, expected it to be there to go back to. Go on with the recovery:"
            f" python -m flows.recover_database --environment {environment} --damaged-at {found.damaged_at}"
        )
    return found


def hash_of(plan: Recovery) -> str:
    """Of the undoing: a yes to the recovery is none to this."""
    return hashlib.sha256(f"undo {plan.run_id} {plan.hash} {plan.let_in_at}".encode()).hexdigest()[:12]


def require_no_loss(plan: Recovery, *, accept_loss: bool) -> None:
    """
    Raises:
        PreconditionFailed: users may have written into the recovered database; what they did is named.
    """
    if plan.undoing_at:
        return say(f"it is {plan.state}, and goes on")
    if not plan.let_in_at:
        return say("nobody has written into the recovered database: undoing it loses nothing")
    told = describe_losses(plan)
    say(f"undoing it loses what was {told}")
    if not accept_loss:
        raise PreconditionFailed(
            f"undoing this recovery would lose what was {told}, expected nobody to have written since writers were let"
            " in. Nothing was changed. When it may be lost, start this again with --accept-loss"
        )
    return None


def describe_losses(plan: Recovery) -> str:
    address = production_database.read_address(plan.environment, swap.settle(plan.copy))
    return str(losses.find_writes(address, datetime.fromisoformat(plan.let_in_at)))


def took_its_place(plan: Recovery) -> bool:
    """Whether the recovered instance bears production's name, so that it has to give it back."""
    copy = rds.find_by_resource_id(plan.copy)
    return copy is not None and plan.cut_over == "rename" and copy.id == plan.serving


@action
def put_away(plan: Recovery) -> None:
    """What users may have written into is kept, as the damaged instance would have been; a mere copy is removed."""
    if plan.let_in_at:
        kept = swap.keep_aside.fn(plan.copy, plan)
        say(f"{kept} holds what was written since {plan.let_in_at}; it is kept until {plan.retire_after} has passed")
    else:
        recovered_copy.remove.fn(plan)
        say("the copy is removed: nobody had written into it")
