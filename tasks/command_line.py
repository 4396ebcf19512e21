"""Any procedure from a terminal, without a Prefect server: `python -m flows.NAME --environment dev ...`."""

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

from prefect import Flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort
from prefect.exceptions import ParameterTypeError
from prefect.settings import (
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from tasks import break_glass

EXIT_FAILED = 1
EXIT_WRONG_USE = 2
EXIT_NOT_APPROVED = 3
SERVER_STARTUP_SECONDS = 90
REPORT = "report"
BY_HAND = "print-next-command"


def run(procedure: Flow[..., Any]) -> NoReturn:
    """Run `procedure` with the command line's parameters and end with 0 only when it completed."""
    shapes, given = procedure.parameters.properties, vars(_parser(procedure).parse_args())
    page: Path | None = given.pop(REPORT)
    by_hand = given.pop(BY_HAND.replace("-", "_"), False)
    asked = {name: read_value(text, shapes[name]) for name, text in given.items() if text is not None}
    try:
        procedure.validate_parameters(asked)
    except (ParameterTypeError, ValueError) as error:
        sys.exit(_wrong_use(procedure, error))
    with temporary_settings(
        {
            PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True,
            PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: SERVER_STARTUP_SECONDS,
        }
    ):
        with break_glass.stopping_before_changes() if by_hand else nullcontext() as stop:
            state: State[Any] = procedure(**asked, return_state=True)  # type: ignore[assignment]
        if page:
            with get_client(sync_client=True) as client:
                page.write_text(read_report(client, UUID(str(state.state_details.flow_run_id))) or "")
    if stop and stop.command:
        print(stop.command)  # noqa: T201
        sys.stderr.write(f"{procedure.name}: run this by hand, then ask for the next one. Nothing was changed.\n")
        sys.exit(0)
    sys.stderr.write(f"{procedure.name}: {state.name}{f' - {state.message}' if state.message else ''}\n")
    if state.is_cancelled():
        sys.exit(EXIT_NOT_APPROVED)
    sys.exit(0 if state.is_completed() else EXIT_FAILED)


def read_report(client: SyncPrefectClient, run_id: UUID) -> str | None:
    """The page that a run left; None when it did not live to write one."""
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    found = client.read_artifacts(artifact_filter=mine, sort=ArtifactSort.UPDATED_DESC)
    return next((str(one.data) for one in found if one.type == "markdown"), None)


def _parser(procedure: Flow[..., Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m flows.{procedure.name.replace('-', '_')}",
        description=(procedure.description or "").replace("```\n", "").replace("\n```", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(f"--{REPORT}", type=Path, metavar="FILE", help="where to write the run's report, as Markdown")
    if procedure.name in break_glass.BY_HAND:
        parser.add_argument(
            f"--{BY_HAND}", action="store_true", help="say what to run by hand from here; change nothing"
        )
    schema = procedure.parameters
    for name, shape in schema.properties.items():
        option = f"--{name.replace('_', '-')}"
        if shape.get("type") == "boolean":
            parser.add_argument(option, action=argparse.BooleanOptionalAction, help=_help(shape))
        else:
            required = name in (schema.required or [])
            parser.add_argument(option, required=required, help=_help(shape), metavar=name.upper())
    return parser


def _help(shape: dict[str, Any]) -> str:
    words = [str(shape.get("description", "")).replace("%", "%%")]
    if choices := shape.get("enum"):
        words.append(f"one of {', '.join(map(str, choices))}")
    if shape.get("default") is not None:
        words.append(f"(default {json.dumps(shape['default'])})")
    return " ".join(word for word in words if word)


def read_value(text: str | bool, shape: dict[str, Any]) -> Any:
    """JSON where it is JSON, else the text itself, as `prefect deployment run -p` reads it; but a commit whose sha
    looks like a number (1234567, 12e4567) is a text."""
    if not isinstance(text, str):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    kinds = {kind.get("type") for kind in shape.get("anyOf", [shape])}
    return text if is_number and not kinds & {"integer", "number"} else value


def _wrong_use(procedure: Flow[..., Any], error: Exception) -> int:
    sys.stderr.write(f"{procedure.name}: {error}\nNothing was changed. --help lists the parameters.\n")
    return EXIT_WRONG_USE
