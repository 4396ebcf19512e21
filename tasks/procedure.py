"""A page of the runbook as a Prefect flow."""

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, flow
from prefect.states import Cancelled

from tasks import aws, report
from tasks.change_lock import run_id
from tasks.errors import NotApproved

P = ParamSpec("P")
R = TypeVar("R")


def procedure(page: Callable[P, R]) -> Flow[P, R]:
    """A flow named after its function, that leaves one report however it ends; NotApproved ends it Cancelled."""

    @wraps(page)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        asked = inspect.signature(page).bind(*args, **kwargs)
        asked.apply_defaults()
        token = aws.caller.set(f"runbook/{name}/{run_id()}")
        try:
            with report.of_run(page.__name__, dict(asked.arguments)):
                return page(*args, **kwargs)
        except NotApproved as refusal:
            return Cancelled(name=NotApproved.__name__, message=str(refusal))
        finally:
            aws.caller.reset(token)

    name = page.__name__.replace("_", "-")
    has_environment = "environment" in inspect.signature(page).parameters
    return flow(
        name=name,
        description=_description(page),
        flow_run_name=f"{name}-{{environment}}" if has_environment else name,
        persist_result=False,
    )(run)


def _description(page: Callable[..., Any]) -> str:
    """What it does, then the module's When, Impact and Rollback: the operator at 3 a.m. reads it in the UI."""
    summary = (inspect.getdoc(page) or "").partition("\n\nArgs:")[0]
    operator = (inspect.getdoc(sys.modules[page.__module__]) or "").partition("\n\n")[2]
    return f"{summary}\n\n```\n{operator}\n```" if operator else summary
