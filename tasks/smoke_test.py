"""The smoke test that a new instance passes on itself, before others follow it and again at the end."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from tasks import autoscaling, ssm
from tasks.environment import Environment
from tasks.errors import VerificationFailed
from tasks.report import say

COMMANDS = tuple(Path(__file__).with_suffix(".sh").read_text().splitlines())
SECONDS = 60


@dataclass
class SmokeTest:
    """Each new instance once, as soon as its SSM agent is online."""

    environment: Environment
    passed: set[str] = field(default_factory=set)

    def reasons_to_stop(self, version: int) -> list[str]:
        """Test those of launch template version `version` that are new since the last look."""
        failed = [str(result) for result in self._test(ssm.find_online(self._untested(version)))]
        return [f"the smoke test failed on {', '.join(failed)}"] if failed else []

    def require_passed(self, version: int) -> None:
        """Every instance in service has passed: one that SSM does not reach has not.

        Raises:
            VerificationFailed: some have not.
        """
        untested = self._untested(version)
        failed = [str(result) for result in self._test(ssm.wait_until_online(untested))] if untested else []
        if failed:
            raise VerificationFailed(f"the smoke test failed on {', '.join(failed)}")

    def _untested(self, version: int) -> tuple[str, ...]:
        group = autoscaling.describe_group.fn(self.environment.asg_name)
        mine = {one.id for one in group.in_service if one.template_version == version}
        return tuple(sorted(mine - self.passed))

    def _test(self, instance_ids: tuple[str, ...]) -> list[ssm.Result]:
        if not instance_ids:
            return []
        # The same instances, the same name: a run that resumes reads the answer that the killed one asked for.
        name = f"smoke test {hashlib.sha256(' '.join(instance_ids).encode()).hexdigest()[:16]}"
        command = ssm.send_command.fn(instance_ids, COMMANDS, name, timeout_seconds=SECONDS)
        results = ssm.wait_until_command_ended.fn(command)
        self.passed |= {result.instance_id for result in results if result.succeeded}
        say(f"smoke test: {'; '.join(map(str, results))}")
        return [result for result in results if not result.succeeded]
