"""The repository that this code is a checkout of: what a commit changed, and the commit that takes it back."""

import fcntl
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe

ROOT = Path(__file__).parents[1]
SHORT_DIGITS = 12
FOLDER = "runbook"  # inside the repository's own .git: deterministic, and never in anybody's way
# One author and HEAD's date: the same HEAD and the same change give the same commit, in every run and on every machine.
AUTHOR = {"NAME": "runbook", "EMAIL": "runbook@users.noreply.github.com"}
# Scrubbed, because a git hook that starts a procedure exports its own repository.
AMBIENT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


@dataclass(frozen=True)
class Commit:
    """One commit of the history that is checked out, and the files it touches, seen from its first parent."""

    sha: str
    subject: str
    is_merge: bool
    files: tuple[str, ...]

    @property
    def short(self) -> str:
        return self.sha[:SHORT_DIGITS]

    @property
    def branch(self) -> str:
        return f"revert-{self.short}"

    @property
    def mainline(self) -> tuple[str, ...]:
        return ("--mainline", "1") if self.is_merge else ()

    def touches(self, folder: str) -> bool:
        return any(file.startswith(f"{folder}/") for file in self.files)

    def __str__(self) -> str:
        return f'{self.short} "{self.subject}"'


@dataclass(frozen=True)
class Revert:
    """What HEAD would be without one commit. Nothing points at it until it is pushed."""

    of: Commit
    head: str
    sha: str


@probe
def describe_commit(commit: str) -> Commit:
    """Resolve a commit of the checked-out history.

    Raises:
        PreconditionFailed: this is no checkout, or HEAD does not contain such a commit.
    """
    _require_checkout()
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}", check=False)
    head = _git("rev-parse", "--short=12", "HEAD").stdout.strip()
    if found.returncode:
        raise PreconditionFailed(
            f"the repository has no commit {commit}, expected one that {head} (HEAD) contains. Run: git fetch; git pull"
        )
    sha = found.stdout.strip()
    if _git("merge-base", "--is-ancestor", sha, "HEAD", check=False).returncode:
        raise PreconditionFailed(
            f"commit {commit} is not part of what is checked out ({head}), expected one that HEAD contains: there is"
            " nothing to take back. Check out the branch that the environment is built from."
        )
    parents, _, subject = _git("show", "--no-patch", "--format=%P%n%s", sha).stdout.strip("\n").partition("\n")
    changed = _git("show", "--diff-merges=first-parent", "--format=", "--name-only", "--no-renames", "-z", sha)
    return Commit(sha, subject, len(parents.split()) > 1, tuple(filter(None, changed.stdout.split("\0"))))


@probe
def list_uncommitted(folder: str) -> tuple[str, ...]:
    """Files below `folder` that differ from HEAD: whoever deploys from here deploys them, a revert of HEAD does not."""
    changed = _git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", folder)
    return tuple(entry[3:] for entry in changed.stdout.split("\0") if entry)


@action
def make_revert(commit: Commit) -> Revert:
    """A commit on top of HEAD that takes `commit` back; the working tree, the index and every branch stay as they are.

    Raises:
        PreconditionFailed: later commits changed the same lines, or it is taken back already.
    """
    with _worktree() as (tree, head):
        applied = _git("revert", "--no-commit", *commit.mainline, commit.sha, folder=tree, check=False)
        if applied.returncode:
            _refuse_conflict(commit, tree, applied.stderr)
        if not _git("diff", "--cached", "--quiet", "HEAD", folder=tree, check=False).returncode:
            raise PreconditionFailed(
                f"HEAD ({head[:SHORT_DIGITS]}) has nothing of {commit} left, expected a change to take back: it was"
                " taken back already. To bring an environment to HEAD, run: python -m flows.deploy_infrastructure"
            )
        content = _git("write-tree", folder=tree).stdout.strip()
        message = f'Revert "{commit.subject}"\n\nThis reverts commit {commit.sha}.\n'
        date = _git("show", "--no-patch", "--format=%cI", head).stdout.strip()
        made = _git("commit-tree", content, "-p", head, "-m", message, environment=_signature(date))
    return Revert(commit, head, made.stdout.strip())


@probe
def require_merged(commit: str) -> str:
    """The full sha of a commit that is part of what is checked out or, after a look there, of origin's main branch.

    Raises:
        PreconditionFailed: nobody has merged it; its code is not run here.
    """
    _require_checkout()
    for place in ("HEAD", "FETCH_HEAD"):
        if place == "FETCH_HEAD" and _git("fetch", "--quiet", "origin", "HEAD", check=False).returncode:
            break
        if not _git("merge-base", "--is-ancestor", commit, place, check=False).returncode:
            return _git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}").stdout.strip()
    raise PreconditionFailed(
        f"commit {commit} is neither part of HEAD nor of origin's main branch, expected a merged one. Merge it first,"
        " or check it out and leave the commit out."
    )


@contextmanager
def exported(commit: str, folder: str) -> Iterator[Path]:
    """The files below `folder` as they are in a commit, in a private place for as long as they are needed."""
    place = _private_folder()
    for left in place.glob("source-*"):
        if not psutil.pid_exists(int(left.name.split("-")[1])):  # its run was killed
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"source-{os.getpid()}-", dir=place) as own:
        archive = Path(own) / "source.tar"
        _git("archive", "--format=tar", f"--output={archive}", commit, "--", folder)
        with tarfile.open(archive) as tar:
            tar.extractall(own, filter="data")
        yield Path(own) / folder


def find_remote(repository: str) -> tuple[str, str] | None:
    """Name and address of the remote that holds `owner/name`."""
    ends = re.compile(rf"(^|[/:]){re.escape(repository)}(\.git)?/?$", re.IGNORECASE)
    for line in _git("remote", "--verbose").stdout.splitlines():
        name, _, address = line.removesuffix(" (push)").partition("\t")
        if line.endswith(" (push)") and ends.search(address):
            return name, address
    return None


def push(revert: Revert, remote: str, environment: Mapping[str, str] | None = None) -> None:
    """Push the revert as its branch; a branch of that name takes the same commit back already and is left alone."""
    reference = f"refs/heads/{revert.of.branch}"
    if not _git("ls-remote", "--exit-code", remote, reference, environment=environment, check=False).returncode:
        return
    _git("push", remote, f"{revert.sha}:{reference}", environment=environment)


def commands_to_revert(commit: Commit) -> tuple[str, ...]:
    """How a person makes the revert that a run could not, or may not, make."""
    mainline = " -m 1" if commit.is_merge else ""
    return (
        f"git switch --create {commit.branch}",
        f"git revert --no-edit{mainline} {commit.sha}",
        f"git push --set-upstream origin {commit.branch}",
        "and open a pull request of that branch",
    )


@contextmanager
def _worktree() -> Iterator[tuple[Path, str]]:
    """A second working tree of HEAD. Only one run at a time has it, so what is found there was left by a killed one."""
    place = _private_folder()
    head = _git("rev-parse", "HEAD").stdout.strip()
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back by the kernel, however this process ends
        try:
            _remove(place / "worktree")
            _git("worktree", "add", "--detach", "--quiet", str(place / "worktree"), head)
            yield place / "worktree", head
        finally:
            _remove(place / "worktree")


def _private_folder() -> Path:
    place = Path(_git("rev-parse", "--path-format=absolute", "--git-common-dir").stdout.strip()) / FOLDER
    place.mkdir(exist_ok=True)
    return place


def _remove(worktree: Path) -> None:
    shutil.rmtree(worktree, ignore_errors=True)
    _git("worktree", "prune")


def _refuse_conflict(commit: Commit, tree: Path, said: str) -> None:
    unmerged = _git("diff", "--name-only", "--diff-filter=U", "-z", folder=tree).stdout.split("\0")
    where = ", ".join(filter(None, unmerged)) or said.strip()
    raise PreconditionFailed(
        f"commit {commit} cannot be taken back by itself: later commits changed the same lines ({where}), expected a"
        " revert without conflicts. Take the later commits back first, newest first, or revert by hand and run:"
        " python -m flows.deploy_infrastructure"
    )


def _require_checkout() -> None:
    what = "expected a clone of the repository. Run this where one is: git clone, then python -m flows..."
    if shutil.which("git") is None:
        raise PreconditionFailed(f"no 'git' on the PATH, {what}")
    found = _git("rev-parse", "--show-toplevel", check=False)
    if found.returncode or Path(found.stdout.strip()).resolve() != ROOT.resolve():
        raise PreconditionFailed(f"this code is not a git checkout ({_clean(found.stderr) or 'no .git here'}), {what}")


def _signature(date: str) -> dict[str, str]:
    return {
        **{f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in AUTHOR.items()},
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_DATE": date,
    }


def _git(
    *arguments: str, folder: Path | None = None, environment: Mapping[str, str] | None = None, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if name not in AMBIENT}
    done = subprocess.run(
        ["git", "-c", f"core.hooksPath={os.devnull}", *arguments],
        cwd=folder or ROOT,
        env={**inherited, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # nobody is there to be asked for a passphrase
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if check and done.returncode:
        raise PreconditionFailed(f"git {arguments[0]} failed: {_clean(done.stderr)}")
    return done


def _clean(said: str) -> str:
    """What git said, in one line, without the credentials that an address may carry."""
    return re.sub(r"://[^/@\s]+@", "://", " ".join(said.split()))
