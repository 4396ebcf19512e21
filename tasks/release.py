"""Where a release stands, read from AWS alone: a run that resumes needs no memory, and a stale one can't mislead it."""

from dataclasses import dataclass
from typing import Literal

from tasks import autoscaling, aws, instance_refresh, launch_template
from tasks.environment import Environment, parameter_name
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.instance_refresh import Refresh
from tasks.kinds import action, probe
from tasks.launch_template import TemplateVersion

Stage = Literal["new", "begun", "failed", "live"]
RECORD = "verified-release"


@dataclass(frozen=True)
class Release:
    """One image on its way into an environment.

    `attempt` is the launch template version made for it, `current` the one the group is set to; once live, the same.
    """

    image: str
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
        if refresh is None or refresh.started < attempt.created:
            return "begun"
        if refresh.template_version == attempt.previous or refresh.status in instance_refresh.UNDONE:
            return "failed"
        return "live" if attempt == self.current else "begun"

    @property
    def replaced_image(self) -> str:
        """What ran before, so far as it is known; the same for every attempt of one deployment."""
        return "itself" if self.stage == "live" else self.current.image

    @property
    def can_be_undone(self) -> bool:
        """A release that was proven once stays, whatever a later look at it finds."""
        return not self.verified and self.attempt is not None and self.attempt.previous is not None


@probe
def find_release(environment: Environment, image: str) -> Release:
    """Look at the group, its template and its newest refresh.

    Raises:
        PreconditionFailed: a refresh that is not this release's runs.
    """
    group = autoscaling.describe_group.fn(environment.asg_name)
    current = launch_template.describe_version.fn(group.template_id, group.template_version)
    is_live = current.image == image
    attempt = current if is_live else launch_template.find_attempt.fn(current, image)
    refresh = instance_refresh.find_refresh.fn(environment.asg_name)
    ours = (attempt.number, attempt.previous) if attempt else ()
    instance_refresh.require_no_other_refresh(refresh, ours)
    return Release(image, current, attempt, refresh, verified=_read_record(environment) == image)


@probe
def find_again(environment: Environment, planned: Release) -> Release:
    """Look again once nobody else may change the environment: what was planned and approved was for what stood then.

    Raises:
        PreconditionFailed: another change came between.
    """
    found = find_release.fn(environment, planned.image)
    if (found.attempt or found.current) != (planned.attempt or planned.current):
        raise PreconditionFailed(
            f"{environment} moved to {found.attempt or found.current} while this run waited for it, expected"
            f" {planned.attempt or planned.current}. Nothing was changed. Start again: the plan will be another one."
        )
    return found


def require_not_failed(release: Release) -> None:
    """Raises what the killed run would have raised, so that its undo is ended and the run is as red as it."""
    if release.stage == "failed":
        raise VerificationFailed(f"an earlier attempt failed: instance refresh ended {release.refresh}")


@action
def record_verified(environment: Environment, image: str) -> None:
    """Write down that this release was proven to serve: what a rollback may go back to."""
    if _read_record(environment) != image:
        name = parameter_name(environment.environment, RECORD)
        aws.client("ssm").put_parameter(Name=name, Value=image, Type="String", Overwrite=True)


def _read_record(environment: Environment) -> str | None:
    ssm = aws.client("ssm")
    try:
        found = ssm.get_parameter(Name=parameter_name(environment.environment, RECORD))
    except ssm.exceptions.ParameterNotFound:
        return None
    value: str = found["Parameter"]["Value"]
    return value
