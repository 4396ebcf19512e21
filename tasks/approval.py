"""A person's yes to exactly one plan: bound to the plan's hash, so that a changed plan asks again, and for some hours.

What can't be taken back in production asks two people. Dev asks nobody, by policy, and that is the only yes that a
pipeline can give.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import get_client, pause_flow_run, runtime, suspend_flow_run
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.settings import PREFECT_API_URL
from prefect.states import Running
from pydantic import Field

from tasks import aws, grant
from tasks.errors import NotApproved
from tasks.report import say

PLAN_HASH = r"^[0-9a-f]{12}$"
WAIT_SECONDS = 4 * 3600
POLL_SECONDS = 2
# How often somebody may answer who has answered already, before a second person does.
TRIES = 3
# Environments whose changes need nobody's yes: what a mistake costs there is a rebuild.
APPROVED_BY_POLICY = ("dev", "shared")
KEY = "approve"


class Approval(RunInput):
    """Approve exactly the plan that is shown above"""

    approved: bool = Field(False, description="Apply this plan")
    approver: str = Field("", description="Who approves; self-declared, the server has one shared login")
    reason: str = Field("", description="Why, or why not")


def key_of(plan_hash: str, number: int = 0) -> str:
    """What the waiting run is asked under: whoever answers can tell which plan it is about."""
    return f"{KEY}-{plan_hash}" + (f"-{number + 1}" if number else "")


def plan_of(key: str | None) -> str:
    """The hash of the plan that a waiting run asks about."""
    return (key or "").removeprefix(f"{KEY}-").partition("-")[0]


def require_approval(
    environment: str, plan_hash: str, summary: str, approved_plan: str | None, people: int = 1
) -> None:
    """Go on only when this very plan is approved.

    Args:
        approved_plan: the hash that a person approved beforehand, seen in a dry run; None asks now.
        people: how many different ones have to say yes.

    Raises:
        NotApproved: refused, not answered in time, expired, or approved for another plan. Nothing was changed.
    """
    if approved_plan is not None:
        return _require_approved_before(environment, plan_hash, approved_plan, people)
    if environment in APPROVED_BY_POLICY:
        return say(f"plan {plan_hash} for {environment} approved by policy: {environment} needs no person")
    if whole := _covered_by.get():
        return say(f"plan {plan_hash} for {environment} is part of {whole}, which was approved as a whole")
    answers: list[Approval] = []
    for number in range(people + TRIES - 1):
        answer = _ask(environment, plan_hash, _question(plan_hash, environment, summary, answers, people), number)
        _require_yes(answer, plan_hash, environment)
        if any(grant.is_same_person(answer.approver, one.approver) for one in answers):
            continue
        answers.append(answer)
        say(f"plan {plan_hash} for {environment} approved by {answer.approver}: {answer.reason or 'no reason'}")
        if len(answers) == people:
            return None
    raise NotApproved(
        f"plan {plan_hash} for {environment} was approved by {answers[0].approver} again and again, expected"
        f" {people} different people. Nothing was changed."
    )


@contextmanager
def covered(whole: str) -> Iterator[None]:
    """What is done in the block was approved with the plan of the whole, and nobody is asked in its middle."""
    token = _covered_by.set(whole)
    try:
        yield
    finally:
        _covered_by.reset(token)


_covered_by: ContextVar[str | None] = ContextVar("covered_by", default=None)


def require_fresh(answered_at: datetime, now: datetime, plan_hash: str) -> None:
    """A run that is started again days later finds the answer of its first attempt."""
    if now - answered_at > timedelta(seconds=WAIT_SECONDS):
        raise NotApproved(
            f"plan {plan_hash} was approved at {answered_at:%Y-%m-%d %H:%M} UTC, expected at most"
            f" {WAIT_SECONDS // 3600} h ago: that has expired. Start a new run, which asks again. Nothing was changed."
        )


def _require_approved_before(environment: str, plan_hash: str, approved_plan: str, people: int) -> None:
    if approved_plan != plan_hash:
        raise NotApproved(
            f"approved was plan {approved_plan}, but the plan for {environment} is {plan_hash} now."
            " Look at the new plan in this report and approve that one. Nothing was changed."
        )
    if people == 1 or environment in APPROVED_BY_POLICY:
        who = aws.client("sts").get_caller_identity()["Arn"]
        return say(f"plan {plan_hash} for {environment} was approved beforehand, by its hash, given to {who}")
    found = grant.find_valid(environment, plan_hash, datetime.now(UTC))
    if grant.count_people(found) < people:
        raise NotApproved(
            f"plan {plan_hash} for {environment} was approved by {'; '.join(map(str, found)) or 'nobody'}, expected"
            f" {people} different people with an identity each, within {grant.VALID}. Each of them runs: python -m"
            f" deployments.approve {plan_hash} --environment {environment} --by NAME --because WHY."
            " Nothing was changed."
        )
    for one in found:
        say(f"plan {plan_hash} for {environment} was approved by {one}")
    return None


def _question(plan_hash: str, environment: str, summary: str, answers: Sequence[Approval], people: int) -> str:
    said = "".join(f"\n\nApproved by {one.approver}: {one.reason}. Expected is somebody else now." for one in answers)
    needs = f"\n\n{people} different people have to approve it." if people > 1 else ""
    return f"## Apply plan `{plan_hash}` to {environment}?{needs}{said}\n\n{summary}"


def _require_yes(answer: Approval, plan_hash: str, environment: str) -> None:
    if not answer.approved or not answer.approver.strip():
        raise NotApproved(
            f"plan {plan_hash} for {environment} was not approved by {answer.approver or 'a named person'}:"
            f" {answer.reason or 'no reason given'}. Nothing was changed."
        )


def _ask(environment: str, plan_hash: str, question: str, number: int) -> Approval:
    if not PREFECT_API_URL.value():
        raise NotApproved(
            f"plan {plan_hash} for {environment} needs a person's approval and no Prefect server is there to ask one."
            f" Read the plan above, then run this again with --approved-plan {plan_hash}. Nothing was changed."
        )
    form, key = Approval.with_initial_data(description=question), key_of(plan_hash, number)
    if runtime.deployment.id:  # another process can go on later: free this one
        answer = suspend_flow_run(wait_for_input=form, timeout=WAIT_SECONDS, key=key)
    else:
        answer = _pause(form, key, plan_hash)
    require_fresh(_answered_at(key), datetime.now(UTC), plan_hash)
    return answer


def _pause(form: type[Approval], key: str, plan_hash: str) -> Approval:
    try:
        return pause_flow_run(wait_for_input=form, timeout=WAIT_SECONDS, poll_interval=POLL_SECONDS, key=key)
    except FlowPauseTimeout as error:
        _resume_by_ourselves()
        raise NotApproved(f"nobody answered for plan {plan_hash} in {WAIT_SECONDS // 3600} h") from error


def _answered_at(key: str) -> datetime:
    """As the server knows it, of whichever attempt of this run."""
    with get_client(sync_client=True) as client:
        found = client.filter_flow_run_input(UUID(str(runtime.flow_run.id)), "", 200, set())
    return max(one.created for one in found if one.created and one.key.endswith(f"-{key}-response"))


def _resume_by_ourselves() -> None:
    """The server lets an expired pause end only as Failed; but nothing failed, and the run must end Cancelled."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(str(runtime.flow_run.id)), Running(), force=True)
