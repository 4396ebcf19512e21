"""Answer a run that waits for a person: `python -m deployments.approve RUN PLAN --by NAME [--refuse] [--because ...]`.

The yes is for the plan whose hash is given, and for no other.
"""

import argparse
import sys
from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import get_client

from tasks.approval import Approval, key_of
from tasks.command_line import EXIT_FAILED, EXIT_WRONG_USE


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(asked.run).state
        if not state or not state.is_paused():
            return _refuse(f"run {asked.run} is {state.name if state else 'new'}, expected one that waits for a person")
        if state.state_details.pause_key != key_of(asked.plan):
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
    parser.add_argument("run", type=UUID, help="id of the flow run")
    parser.add_argument("plan", help="hash of the plan that you have read")
    parser.add_argument("--by", required=True, help="your name; self-declared, the server has one shared login")
    parser.add_argument("--because", default="", help="why, or why not")
    parser.add_argument("--refuse", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
