"""Prefect's flow runs: whether the run that made something still lives."""

from dataclasses import dataclass
from uuid import UUID

from prefect import get_client
from prefect.exceptions import ObjectNotFound

from tasks.kinds import probe


@dataclass(frozen=True)
class RunState:
    name: str
    is_alive: bool


@probe
def find_run_states(run_ids: tuple[str, ...]) -> dict[str, RunState]:
    """The state of each run that this Prefect server knows. One that waits - for its time, for a person - lives."""
    found = {}
    with get_client(sync_client=True) as client:
        for run_id, asked in ((text, _uuid(text)) for text in sorted(set(run_ids))):
            if asked is None:
                continue
            try:
                state = client.read_flow_run(asked).state
            except ObjectNotFound:
                continue
            found[run_id] = RunState(state.name or state.type, not state.is_final()) if state else RunState("new", True)
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
