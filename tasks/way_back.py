"""How long users still met a failed change after it was noticed, measured from outside while it is undone."""

import time
from dataclasses import dataclass, field

from tasks import application, autoscaling
from tasks.environment import Environment

VISITS_PER_LOOK = 3


@dataclass
class WayBack:
    environment: Environment
    failed_version: int
    noticed: float = field(default_factory=time.monotonic)
    clean_since: float | None = None

    def look(self) -> None:
        """Does a user meet an instance of the failed version now?"""
        group = autoscaling.describe_group.fn(self.environment.asg_name)
        failed = {one.id for one in group.instances if one.template_version == self.failed_version}
        visits = application.visit(self.environment, VISITS_PER_LOOK) if failed else ()
        if any(visit.answer.instance in failed or not visit.answer.is_well for visit in visits):
            self.clean_since = None
        elif self.clean_since is None:
            self.clean_since = time.monotonic()

    def __str__(self) -> str:
        if self.clean_since is None:
            return "users still meet the failed version"
        seconds = self.clean_since - self.noticed
        return f"every request was served by the version before {seconds:.1f} s after the failure was noticed"
