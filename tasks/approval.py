"""A person's yes to exactly one plan: bound to the plan's hash, so that a changed plan asks again."""

from uuid import UUID

from prefect import get_client, pause_flow_run, runtime, suspend_flow_run
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.settings import PREFECT_API_URL
from prefect.states import Running
from pydantic import Field

from tasks.errors import NotApproved
from tasks.report import say

PLAN_HASH = r"^[0-9a-f]{12}$"
WAIT_SECONDS = 4 * 3600
POLL_SECONDS = 2
# Environments whose changes need nobody's yes: what a mistake costs there is a rebuild.
APPROVED_BY_POLICY = ("dev", "shared")


class Approval(RunInput):
    """Approve exactly the plan that is shown above"""

    approved: bool = Field(False, description="Apply this plan")
    approver: str = Field("", description="Who approves; self-declared, the server has one shared login")
    reason: str = Field("", description="Why, or why not")


def key_of(plan_hash: str) -> str:
    """What the waiting run is asked under: whoever answers can tell which plan it is about."""
    return f"approve-{plan_hash}"


def require_approval(environment: str, plan_hash: str, summary: str, approved_plan: str | None) -> None:
    """Go on only when this very plan is approved.

    Args:
        approved_plan: the hash that a person approved beforehand, seen in a dry run; None asks now.

    Raises:
        NotApproved: refused, not answered in time, or approved for another plan. Nothing was changed.
    """
    if approved_plan is not None:
        return _require_same_plan(environment, plan_hash, approved_plan)
    if environment in APPROVED_BY_POLICY:
        return say(f"plan {plan_hash} for {environment} approved by policy: {environment} needs no person")
    answer = _ask(environment, plan_hash, summary)
    if not answer.approved or not answer.approver.strip():
        raise NotApproved(
            f"plan {plan_hash} for {environment} was not approved by {answer.approver or 'a named person'}:"
            f" {answer.reason or 'no reason given'}. Nothing was changed."
        )
    return say(f"plan {plan_hash} for {environment} approved by {answer.approver}: {answer.reason or 'no reason'}")


def _require_same_plan(environment: str, plan_hash: str, approved_plan: str) -> None:
    if approved_plan != plan_hash:
        raise NotApproved(
            f"approved was plan {approved_plan}, but the plan for {environment} is {plan_hash} now."
            " Look at the new plan in this report and approve that one. Nothing was changed."
        )
    say(f"plan {plan_hash} for {environment} was approved beforehand, by hash")


def _ask(environment: str, plan_hash: str, summary: str) -> Approval:
    if not PREFECT_API_URL.value():
        raise NotApproved(
            f"plan {plan_hash} for {environment} needs a person's approval and no Prefect server is there to ask one."
            f" Read the plan above, then run this again with --approved-plan {plan_hash}. Nothing was changed."
        )
    question = Approval.with_initial_data(description=f"## Apply plan `{plan_hash}` to {environment}?\n\n{summary}")
    if runtime.deployment.id:  # another process can go on later: free this one
        return suspend_flow_run(wait_for_input=question, timeout=WAIT_SECONDS, key=key_of(plan_hash))
    try:
        return pause_flow_run(
            wait_for_input=question,
            timeout=WAIT_SECONDS,
            poll_interval=POLL_SECONDS,
            key=key_of(plan_hash),
        )
    except FlowPauseTimeout as error:
        _resume_by_ourselves()
        raise NotApproved(f"nobody answered for plan {plan_hash} in {WAIT_SECONDS // 3600} h") from error


def _resume_by_ourselves() -> None:
    """The server lets an expired pause end only as Failed; but nothing failed, and the run must end Cancelled."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(str(runtime.flow_run.id)), Running(), force=True)
