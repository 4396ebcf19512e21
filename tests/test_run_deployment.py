"""How a run ended, as the exit code that CI sees."""

from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Crashed, Failed

from deployments.comment import LONGEST, shortened
from deployments.run import exit_code


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (Completed(), 0),
        (Failed(message="VerificationFailed: a target is unhealthy"), 1),
        (Crashed(), 1),
        (Cancelled(message="by hand"), 1),
        (Cancelled(name="NotApproved", message="not on a Friday"), 3),
        (Failed(message="The flow was paused and never resumed."), 3),
        (Failed(message="The flow was suspended and never resumed."), 3),
    ],
)
def test_only_a_completed_run_is_green_and_only_a_refusal_is_not_approved(state: State[Any], code: int) -> None:
    assert exit_code(state) == code


def test_a_page_that_github_would_refuse_is_cut_at_a_line_and_says_so() -> None:
    page = "a line of a plan\n" * 10_000
    cut = shortened(page)
    assert len(cut) < LONGEST + 200
    assert cut.startswith("a line of a plan\na line of a plan\n")
    assert "Cut off here: 170000 characters" in cut
    assert shortened("short") == "short"
