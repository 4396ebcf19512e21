"""Where a replacement of instances stands, read from AWS alone: a run that resumes needs no memory, and no stale one
can mislead it."""

from dataclasses import dataclass
from typing import Literal

from tasks import autoscaling, instance_refresh, launch_template
from tasks.environment import Environment, find_parameter, keep_parameter
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.instance_refresh import Refresh
from tasks.kinds import action, probe
from tasks.launch_template import Configuration, TemplateVersion

Stage = Literal["new", "begun", "failed", "live"]
RECORD = "verified-release"


@dataclass(frozen=True)
class Replacement:
    """One configuration on its way to every instance of an environment.

    `attempt` is the launch template version made for it, `current` the one the group is set to; once live, the same.
    """

    wanted: Configuration
    current: TemplateVersion
    attempt: TemplateVersion | None
    refresh: Refresh | None
    verified: bool

    @property
    def stage(self) -> Stage:
        """new: nothing done yet. begun: go on. failed: an undo was begun and must be ended. live: prove it."""
        attempt, refresh = self.attempt, self.refresh
        if attempt is None:
            return "new"
        is_set = attempt == self.current
        if refresh is None or refresh.started < attempt.created:
            return "live" if is_set else "begun"
        if refresh.template_version == attempt.previous or refresh.status in instance_refresh.UNDONE:
            return "failed"
        return "live" if is_set else "begun"

    @property
    def replaced(self) -> str:
        """What ran before, so far as it is known; the same for every attempt of one change."""
        return "itself" if self.stage == "live" else str(self.current.configuration)

    @property
    def can_be_undone(self) -> bool:
        """What was proven once stays, whatever a later look at it finds."""
        return not self.verified and self.attempt is not None and self.attempt.previous is not None


@probe
def find_replacement(environment: Environment, wanted: Configuration) -> Replacement:
    """Look at the group, its template and its newest refresh.

    Raises:
        PreconditionFailed: a refresh that is not this change's runs.
    """
    group = autoscaling.describe_group.fn(environment.asg_name)
    current = launch_template.describe_version.fn(group.template_id, group.template_version)
    attempt = current if current.is_made_of(wanted) else launch_template.find_attempt.fn(current, wanted)
    refresh = instance_refresh.find_refresh.fn(environment.asg_name)
    ours = (attempt.number, attempt.previous) if attempt else ()
    instance_refresh.require_no_other_refresh(refresh, ours)
    return Replacement(
        wanted, current, attempt, refresh, verified=find_parameter(environment.environment, RECORD) == str(wanted)
    )


@probe
def find_again(environment: Environment, planned: Replacement) -> Replacement:
    """Look again once nobody else may change the environment: what was planned and approved was for what stood then.

    Raises:
        PreconditionFailed: another change came between.
    """
    found = find_replacement.fn(environment, planned.wanted)
    if (found.attempt or found.current) != (planned.attempt or planned.current):
        raise PreconditionFailed(
            f"{environment} moved to {found.attempt or found.current} while this run waited for it, expected"
            f" {planned.attempt or planned.current}. Nothing was changed. Start again: the plan will be another one."
        )
    return found


def require_not_failed(change: Replacement) -> None:
    """Raises what the killed run would have raised, so that its undo is ended and the run is as red as it."""
    if change.stage == "failed":
        raise VerificationFailed(f"an earlier attempt failed: instance refresh ended {change.refresh}")


@action
def record_verified(environment: Environment, wanted: Configuration) -> None:
    """Write down that this was proven to serve: what a rollback may go back to. The parameter keeps its history."""
    if find_parameter(environment.environment, RECORD) != str(wanted):
        keep_parameter(environment.environment, RECORD, str(wanted))


def read_last_verified(environment: str) -> str | None:
    """The digest of the image that was proven last; Terraform does not know this record and does not destroy it."""
    found = find_parameter(environment, RECORD)
    return found.split(" ")[0] if found else None
