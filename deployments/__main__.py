"""Bring a Prefect server to what prefect.yaml and deployments/server.py say, and to nothing more."""

import subprocess
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from deployments import server

ROOT = Path(__file__).parents[1]


def main() -> int:
    wanted = listed()
    with get_client(sync_client=True) as client:
        try:
            server.ensure_work_pool(client)
        except httpx.TransportError as error:
            sys.stderr.write(
                f"no Prefect server answers at {PREFECT_API_URL.value()}: {error}. Nothing was registered.\n"
            )
            return 1
        server.ensure_limits(client)
        register = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        done = subprocess.run(register, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(f"{done.stdout}{done.stderr}\nprefect deploy failed: nothing was removed\n")
            return done.returncode
        removed = server.prune_deployments(client, wanted)
        server.ensure_automations(client)
        missing = list(server.missing_secrets(client))
    tell(f"{len(wanted)} deployments registered, {len(removed)} removed{': ' if removed else ''}{', '.join(removed)}")
    for line in missing:
        tell(f"not there yet: {line}")
    return 0


def listed() -> Mapping[str, AbstractSet[str]]:
    """Each deployment of prefect.yaml, with the slugs of its schedules."""
    entries: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return {_name(entry): {schedule["slug"] for schedule in entry.get("schedules", ())} for entry in entries}


def tell(line: str) -> None:
    print(line)  # noqa: T201


def _name(entry: Mapping[str, Any]) -> str:
    flow = str(entry["entrypoint"]).rpartition(".")[2].replace("_", "-")
    return f"{flow}/{entry['name']}"


if __name__ == "__main__":
    sys.exit(main())
