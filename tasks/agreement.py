"""Code, state and cloud agree: shown by a plan that has nothing to do."""

from tasks import infrastructure, terraform
from tasks.environment import EnvironmentName
from tasks.report import say


def require_agreement(environment: EnvironmentName) -> None:
    """Plan with what runs now.

    Raises:
        VerificationFailed: the plan would change something; it is named.
    """
    inputs = infrastructure.read_inputs(environment)
    with terraform.workspace(environment, inputs.variables, inputs.secrets) as workspace:
        terraform.init(workspace)
        terraform.free_state(workspace)
        terraform.require_nothing_to_do(workspace)
    say(f"code, state and cloud agree: the plan for {environment} with what runs now has nothing to do")
