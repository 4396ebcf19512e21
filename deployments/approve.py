"""Say yes or no to one plan, the one whose hash is given, and to no other.

A run that waits: `python -m deployments.approve RUN PLAN --by NAME --because WHY [--refuse]`.
Before a run, without a Prefect server: `python -m deployments.approve PLAN --environment prod --by NAME --because WHY`;
your AWS identity is kept with it, and it is good for four hours.
"""

import argparse
import sys
from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import get_client

from tasks import grant
from tasks.approval import Approval, plan_of
from tasks.command_line import EXIT_FAILED, EXIT_WRONG_USE


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    if (asked.run is None) == (asked.environment is None):
        return _refuse("expected either the id of a run that waits, or --environment")
    if asked.run:
        return _answer(asked)
    if asked.refuse or not asked.because.strip():
        return _refuse("a yes beforehand needs --because; to say no, say nothing")
    print(f"plan {asked.plan} approved by {grant.give(asked.environment, asked.plan, asked.by, asked.because)}")  # noqa: T201
    return 0


def _answer(asked: argparse.Namespace) -> int:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(asked.run).state
        if not state or not state.is_paused():
            return _refuse(f"run {asked.run} is {state.name if state else 'new'}, expected one that waits for a person")
        if plan_of(state.state_details.pause_key) != asked.plan:
            return _refuse(f"run {asked.run} asks about {state.state_details.pause_key}, not about plan {asked.plan}")
        answer = Approval(approved=not asked.refuse, approver=asked.by, reason=asked.because)
        result = client.resume_flow_run(asked.run, run_input=answer.model_dump())
    if result.status.value != "ACCEPT":
        sys.stderr.write(f"the server did not take the answer: {result.status.value} {result.details}\n")
        return EXIT_FAILED
    print(f"plan {asked.plan} {'refused' if asked.refuse else 'approved'} by {asked.by}")  # noqa: T201
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}. Nothing was answered.\n")
    return EXIT_WRONG_USE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployments.approve", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("run", type=UUID, nargs="?", help="id of the flow run that waits")
    parser.add_argument("plan", help="hash of the plan that you have read")
    parser.add_argument("--environment", choices=("dev", "prod"), help="of a plan that no run waits with")
    parser.add_argument("--by", required=True, help="your name; self-declared, the server has one shared login")
    parser.add_argument("--because", default="", help="why, or why not")
    parser.add_argument("--refuse", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
