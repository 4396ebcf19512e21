"""Bring a Prefect server to what prefect.yaml and deployments/server.py say, and to nothing more."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from deployments import ecs, server

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "prefect.yaml"


def main() -> int:
    wanted = listed()
    try:
        worker = find_worker()
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"AWS does not say whether there is a worker on ECS: {error}. Nothing was registered.\n")
        return 1
    with get_client(sync_client=True) as client:
        try:
            server.ensure_work_pool(client, worker)
        except httpx.TransportError as error:
            sys.stderr.write(
                f"no Prefect server answers at {PREFECT_API_URL.value()}: {error}. Nothing was registered.\n"
            )
            return 1
        except server.OtherPool as error:
            sys.stderr.write(f"{error}. Nothing was registered.\n")
            return 1
        server.ensure_limits(client)
        with index(worker) as file:
            register = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
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


def find_worker() -> ecs.Worker | None:
    """Terraform's worker; on a machine that knows no AWS account there is none."""
    try:
        return ecs.find_worker()
    except (NoCredentialsError, NoRegionError) as error:
        tell(f"no worker on ECS was looked for, runs are processes: {error}")
        return None


@contextmanager
def index(worker: ecs.Worker | None) -> Iterator[Path]:
    """prefect.yaml; for runs in containers, with the folder that holds the code there instead of this one."""
    if worker is None:
        yield INDEX
        return
    pull = {"pull": [{"prefect.deployments.steps.set_working_directory": {"directory": ecs.CODE}}]}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / INDEX.name
        file.write_text(yaml.safe_dump({**yaml.safe_load(INDEX.read_text()), **pull}))
        yield file


def listed() -> Mapping[str, AbstractSet[str]]:
    """Each deployment of prefect.yaml, with the slugs of its schedules."""
    entries: list[dict[str, Any]] = yaml.safe_load(INDEX.read_text())["deployments"]
    return {_name(entry): {schedule["slug"] for schedule in entry.get("schedules", ())} for entry in entries}


def tell(line: str) -> None:
    print(line)  # noqa: T201


def _name(entry: Mapping[str, Any]) -> str:
    flow = str(entry["entrypoint"]).rpartition(".")[2].replace("_", "-")
    return f"{flow}/{entry['name']}"


if __name__ == "__main__":
    sys.exit(main())
