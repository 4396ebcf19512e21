"""Whether a drill may begin and go on: the kill switch, alarms that nobody expected, and time."""

from tasks import cloudwatch
from tasks.drill import Abort, Look, Situation
from tasks.environment import Environment, find_parameter, parameter_name
from tasks.errors import PreconditionFailed, RunbookError, VerificationFailed, WaitTimedOut
from tasks.kinds import probe
from tasks.waiting import wait_until

STOP = "drill-stop"  # the SSM parameter's name; it stops every drill for as long as it is there, whatever its value


class DrillAborted(RunbookError):
    """Something else went wrong, or somebody pulled the switch. What the drill broke is taken back."""


@probe
def require_not_stopped(environment: str) -> None:
    if reason := find_stop(environment):
        raise PreconditionFailed(f"{reason}, expected no such parameter. Nothing was changed. {_advice(environment)}")


@probe
def require_steady(situation: Situation, steady: Look) -> None:
    """
    Raises:
        PreconditionFailed: the drill's hypothesis does not hold before it begins; it would prove nothing.
    """
    if reasons := steady(situation):
        raise PreconditionFailed(
            f"{situation.environment} is not in the steady state that the drill expects: {'; '.join(reasons)}."
            " Nothing was changed. Mend that first."
        )


@probe
def wait_until_so(situation: Situation, look: Look, abort: Abort, expected: str) -> None:
    """
    Raises:
        DrillAborted: one of its conditions came true.
        VerificationFailed: it did not become so in time.
    """

    def reasons() -> list[str]:
        require_going_on(situation.environment, abort)
        return look(situation)

    try:
        wait_until(
            f"{situation.environment}",
            reasons,
            lambda found: not found,
            timeout_seconds=abort.after_seconds,
            expected=expected,
        )
    except WaitTimedOut as late:
        raise VerificationFailed(f"{'; '.join(reasons()) or late}: expected {expected} by now") from late


def require_going_on(environment: Environment, abort: Abort) -> None:
    if stop := find_stop(environment.environment):
        raise DrillAborted(f"aborted, because {stop}. {_advice(environment.environment)}")
    firing = cloudwatch.firing_alarms(environment.critical_alarm_names)
    if other := [name for name in firing if not name.endswith(abort.expected_alarms)]:
        raise DrillAborted(
            f"aborted, because {', '.join(other)} fires, expected only {', '.join(abort.expected_alarms) or 'none'}:"
            " more is broken than the drill broke. Look at what it tells of."
        )


def find_stop(environment: str) -> str | None:
    """The kill switch, if it is pulled, and what it says."""
    said = find_parameter(environment, STOP)
    return None if said is None else f"kill switch {parameter_name(environment, STOP)} says {said!r}"


def _advice(environment: str) -> str:
    return f"When drills may go on: aws ssm delete-parameter --name {parameter_name(environment, STOP)}"
