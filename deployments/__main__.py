"""Bring a Prefect server to what prefect.yaml says: the work pool, every deployment, and nothing more."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_API_URL

ROOT = Path(__file__).parents[1]
WORK_POOL = "runbook"


def main() -> int:
    wanted = {(_flow_name(entry), str(entry["name"])) for entry in _listed()}
    with get_client(sync_client=True) as client:
        try:
            ensure_work_pool(client)
        except httpx.TransportError as error:
            sys.stderr.write(
                f"no Prefect server answers at {PREFECT_API_URL.value()}: {error}. Nothing was registered.\n"
            )
            return 1
        register = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        done = subprocess.run(register, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(f"{done.stdout}{done.stderr}\nprefect deploy failed: nothing was removed\n")
            return done.returncode
        removed = prune(client, wanted)
    print(f"{len(wanted)} deployments registered, {len(removed)} removed{': ' if removed else ''}{', '.join(removed)}")  # noqa: T201
    return 0


def ensure_work_pool(client: SyncPrefectClient) -> None:
    try:
        client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
    except ObjectAlreadyExists:
        pass


def prune(client: SyncPrefectClient, wanted: set[tuple[str, str]]) -> list[str]:
    """Remove this pool's deployments that prefect.yaml no longer lists: Prefect itself would keep running them."""
    removed = []
    for deployment in client.read_deployments(limit=200):
        flow = client.read_flow(deployment.flow_id).name
        if deployment.work_pool_name == WORK_POOL and (flow, deployment.name) not in wanted:
            client.delete_deployment(deployment.id)
            removed.append(f"{flow}/{deployment.name}")
    return removed


def _listed() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return entries


def _flow_name(entry: dict[str, Any]) -> str:
    return str(entry["entrypoint"]).rpartition(".")[2].replace("_", "-")


if __name__ == "__main__":
    sys.exit(main())
