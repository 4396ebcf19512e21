"""`docker ps` and `docker logs` on an instance: they tell of the one container that its user data runs."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FACTS = "container.json"
LOG = "container.log"
COLUMNS = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")


def main(folder: Path, arguments: Sequence[str]) -> int:
    match arguments:
        case ["ps", *options]:
            return list_containers(folder, options)
        case ["logs", *options, name]:
            return show_log(folder, options, name)
    return complain(f"docker: '{' '.join(arguments[:1])}' is not a docker command that this lab has: ps, logs.")


def read_facts(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / FACTS).read_text())
    except FileNotFoundError:
        return None
    return found


def list_containers(folder: Path, options: Sequence[str]) -> int:
    found = read_facts(folder)
    wants_all = {"-a", "--all", "-aq"} & set(options)
    shown = [_row(found)] if found and (found["state"] == "running" or wants_all) else []
    if {"-q", "--quiet", "-aq"} & set(options):
        lines = [one["CONTAINER ID"] for one in shown]
    elif "--format" in options:
        lines = [_fill(options[options.index("--format") + 1], one) for one in shown]
    else:
        lines = ["   ".join(COLUMNS), *("   ".join(one[name] for name in COLUMNS) for one in shown)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _row(found: dict[str, Any]) -> dict[str, str]:
    seconds = int(time.time() - found["since"])
    state = {"running": f"Up {seconds} seconds", "created": "Created"}.get(
        found["state"], f"{found['state'].capitalize()} {seconds} seconds ago"
    )
    age = f"{int(time.time() - found['created'])} seconds ago"
    columns = (found["id"], found["image"], f'"{found["command"]}"', age, state, found["ports"], found["name"])
    return dict(zip(COLUMNS, columns, strict=True))


def _fill(template: str, row: dict[str, str]) -> str:
    fields = {"ID": "CONTAINER ID", "Image": "IMAGE", "Status": "STATUS", "Names": "NAMES", "Ports": "PORTS"}
    for name, column in fields.items():
        template = template.replace(f"{{{{.{name}}}}}", row[column])
    return template


def show_log(folder: Path, options: Sequence[str], name: str) -> int:
    found = read_facts(folder)
    if found is None or name not in (found["name"], found["id"]):
        return complain(f"Error response from daemon: No such container: {name}")
    log = folder / LOG
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    wanted = next((options[n + 1] for n, one in enumerate(options) if one in ("--tail", "-n")), "all")
    sys.stdout.writelines(f"{line}\n" for line in (lines if wanted == "all" else lines[-int(wanted) :]))
    return 0


def complain(words: str) -> int:
    sys.stderr.write(f"{words}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
