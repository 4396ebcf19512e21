"""A lab in processes of its own, for as long as a fixture needs it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@contextmanager
def running_lab(home: Path, speed: float = 50.0) -> Iterator[dict[str, Any]]:
    """As its lab.json tells it (url, env, pid, speed), and its home."""
    command = [sys.executable, "-m", "lab", "--home", str(home)]
    subprocess.run([*command, "up", "--speed", str(speed)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    try:
        yield {"home": str(home), **json.loads((home / "lab.json").read_text())}
    finally:
        subprocess.run([*command, "down"], cwd=ROOT, check=True)
