"""Start a deployment, wait for it and end as it ended: `python -m deployments.run deploy-infrastructure/dev`.

Exit codes: 0 completed, 1 red or unknown, 2 wrong use (nothing was started), 3 not approved.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from prefect.utilities.urls import url_for

from tasks.approval import plan_of
from tasks.command_line import EXIT_FAILED, EXIT_NOT_APPROVED, EXIT_WRONG_USE, read_report, read_value
from tasks.errors import NotApproved

POLL_SECONDS = 2
WAIT_MINUTES = 300  # a person has four hours to approve (tasks.approval), and then it is done
UNREACHABLE_SECONDS = 300  # a server that restarts is not a failed change
LOG_PAGE = 200
NEVER_RESUMED = "never resumed."  # how the server ends a suspension that nobody answered
T = TypeVar("T")


class WrongUse(Exception):
    """Nothing was started."""


class Unknown(Exception):
    """The run was started and goes on; how it ends was not seen."""


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    try:
        with get_client(sync_client=True) as client:
            run = start(client, asked.deployment, asked.param, asked.idempotency_key)
            tell(f"flow run {run.name} ({run.id}) {url_for(run) or ''}")
            ended = follow(client, run, asked.wait_minutes)
            page = read_page(client, run)
    except WrongUse as error:
        tell(f"{error}\nNothing was started.")
        return EXIT_WRONG_USE
    except (Unknown, KeyboardInterrupt) as error:
        tell(f"{error or 'interrupted'}\nThe run was not stopped. Look at it before you start another one.")
        return EXIT_FAILED
    print(page)  # noqa: T201
    if asked.report:
        asked.report.write_text(page)
    tell(f"{asked.deployment}: {ended.name}{f' - {ended.message}' if ended.message else ''}")
    return exit_code(ended)


def start(client: SyncPrefectClient, name: str, given: Iterable[str], key: str | None) -> FlowRun:
    """A run of the deployment; for a key that was used before, the run that was started then."""
    try:
        deployment = client.read_deployment_by_name(name)
        parameters = read_parameters(deployment, given)
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters, idempotency_key=key)
    except ObjectNotFound as error:
        raise WrongUse(f"there is no deployment {name}. There are: {', '.join(_list_names(client))}") from error
    except PrefectHTTPStatusError as error:
        raise WrongUse(f"{name} was refused: {error.response.text}") from error
    except httpx.TransportError as error:
        raise WrongUse(
            f"no Prefect server answers at {PREFECT_API_URL.value()}: {error}. Without one, run the procedure here:"
            f" python -m flows.{name.partition('/')[0].replace('-', '_')} --help"
        ) from error


def read_parameters(deployment: DeploymentResponse, given: Iterable[str]) -> dict[str, Any]:
    shapes = (deployment.parameter_openapi_schema or {}).get("properties", {})
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, equals, _ in pairs if not equals or name not in shapes]:
        raise WrongUse(f"no parameter {', '.join(wrong)}, expected NAME=VALUE with a name of: {', '.join(shapes)}")
    return {name: read_value(text, shapes[name]) for name, _, text in pairs}


def follow(client: SyncPrefectClient, run: FlowRun, wait_minutes: float) -> State[Any]:
    """Tell the run's log as it comes, until it has ended."""
    deadline = time.monotonic() + wait_minutes * 60
    shown, seen = 0, str(run.state_name)
    while time.monotonic() < deadline:
        state = patiently(lambda: client.read_flow_run(run.id)).state
        shown += _tell_log(client, run, shown)
        if state and state.is_final():
            _tell_log(client, run, shown)
            return state
        if state and state.name != seen:
            seen = str(state.name)
            tell(_describe(run, state))
        time.sleep(POLL_SECONDS)
    raise Unknown(f"{run.name} ({run.id}) is {seen} after {wait_minutes} min, expected it to have ended")


def read_page(client: SyncPrefectClient, run: FlowRun) -> str:
    page = patiently(lambda: read_report(client, run.id))
    return page or f"# {run.name}: no report\n\nThe run ended before it wrote one: read its log.\n"


def exit_code(ended: State[Any]) -> int:
    unanswered = ended.type == StateType.FAILED and str(ended.message).endswith(NEVER_RESUMED)
    if ended.name == NotApproved.__name__ or unanswered:
        return EXIT_NOT_APPROVED
    return 0 if ended.is_completed() else EXIT_FAILED


def patiently(ask: Callable[[], T]) -> T:
    """Ask again while the server is away: the run does not need it to go on."""
    deadline = time.monotonic() + UNREACHABLE_SECONDS
    while True:
        try:
            return ask()
        except (httpx.TransportError, PrefectHTTPStatusError) as error:
            if time.monotonic() > deadline:
                raise Unknown(f"the Prefect server has not answered for {UNREACHABLE_SECONDS} s: {error}") from error
            time.sleep(POLL_SECONDS)


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _describe(run: FlowRun, state: State[Any]) -> str:
    if state.is_paused():
        plan = plan_of(state.state_details.pause_key)
        return (
            f"{state.name}: waits for a person. Approve it in the UI, or: python -m deployments.approve {run.id} {plan}"
        )
    return f"{state.name}{f': {state.message}' if state.message else ''}"


def _tell_log(client: SyncPrefectClient, run: FlowRun, shown: int) -> int:
    mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
    lines = patiently(lambda: client.read_logs(mine, limit=LOG_PAGE, offset=shown, sort=LogSort.TIMESTAMP_ASC))
    for line in lines:
        if line.name.startswith(("prefect.flow_runs", "prefect.task_runs")):
            tell(f"{line.timestamp:%H:%M:%S} {line.message.splitlines()[0] if line.message else ''}")
    return len(lines)


def _list_names(client: SyncPrefectClient) -> list[str]:
    flows = {flow.id: flow.name for flow in client.read_flows(limit=200)}
    return sorted(f"{flows.get(one.flow_id)}/{one.name}" for one in client.read_deployments(limit=200))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("deployment", help="for example deploy-infrastructure/dev")
    parser.add_argument("--param", "-p", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    parser.add_argument("--idempotency-key", metavar="KEY", help="the same key again waits for the same run")
    parser.add_argument("--report", type=Path, metavar="FILE", help="where to write the run's report, as Markdown")
    parser.add_argument("--wait-minutes", type=float, default=WAIT_MINUTES, help="how long to wait for the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
