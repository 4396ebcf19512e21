"""Write docs/runbook.md from the flows: `python -m docs.runbook.page`; --proven prints it with what a server knows."""

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC

from prefect import get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort

from docs.runbook.procedures import ROOT, Page, list_missing, read_pages, read_procedures

FILE = ROOT / "docs" / "runbook.md"
HEAD = """# The runbook

Written by `make docs` from the flows, prefect.yaml and the tests; edit those. `python -m docs.runbook.page --proven`
prints it with the last completed run of each deployment on your Prefect server. All times are UTC.
"""


def write(proven: Mapping[str, str]) -> str:
    """
    Args:
        proven: what a server knows of each deployment's last completed run.
    """
    return "\n".join([HEAD, *_index(), "", *(line for page in read_pages() for line in _section(page, proven))])


def ask_server() -> dict[str, str]:
    """When each deployment last completed, and how long that took."""
    proven = {}
    with get_client(sync_client=True) as client:
        for name in (deployment.name for page in read_pages() for deployment in page.deployments):
            flow, _, own = name.partition("/")
            wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": ["COMPLETED"]}}})
            found = client.read_flow_runs(
                flow_filter=FlowFilter.model_validate({"name": {"any_": [flow]}}),
                flow_run_filter=wanted,
                deployment_filter=DeploymentFilter.model_validate({"name": {"any_": [own]}}),
                sort=FlowRunSort.END_TIME_DESC,
                limit=1,
            )
            if found and found[0].end_time:
                took = found[0].total_run_time.total_seconds()
                proven[name] = f"{found[0].end_time.astimezone(UTC):%Y-%m-%d %H:%M}, {took:.0f} s"
    return proven


def _index() -> Iterator[str]:
    missing, total = list_missing(), len(read_procedures())
    yield f"{total - len(missing)} of {total} procedures have a flow that carries them out, or its part of them.\n"
    yield "| id | procedure | carried out by |"
    yield "|---|---|---|"
    for procedure, name in read_procedures().items():
        flows = [f"[{page.flow}](#{page.flow})" for page in read_pages() if procedure in page.procedures]
        yield f"| {procedure} | {name.replace('|', '/')} | {', '.join(flows) or 'by hand'} |"


def _section(page: Page, proven: Mapping[str, str]) -> Iterator[str]:
    yield f"## {page.flow}\n"
    yield f"{page.summary}\n"
    yield f"```\n{page.operator}\n\n{page.commands}\n```\n"
    yield "| deployment | tags | by itself | last proven |"
    yield "|---|---|---|---|"
    usually = "by its tests" if page.tests else "never"
    for one in page.deployments:
        when = ", ".join(one.crons) or "when started"
        yield f"| {one.name} | {' '.join(one.tags)} | {when} | {proven.get(one.name, usually)} |"
    yield f"\nCarries out {', '.join(page.procedures)}. Proven by {', '.join(page.tests) or 'no test of its own'}.\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--proven"]:
        print(write(ask_server()))  # noqa: T201
    else:
        FILE.write_text(write({}))
