"""A small git repository that a test may commit to, and whose remote is a bare one beside it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

IDENTITY = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")


@dataclass(frozen=True)
class Repository:
    root: Path

    def git(self, *arguments: str) -> str:
        command = ["git", *IDENTITY, *arguments]
        done = subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str, files: dict[str, str]) -> str:
        """Write the files and commit everything; the commit's sha."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def state(self) -> tuple[str, str, str, str]:
        """Everything of a person's that a run must leave alone: branches, HEAD, index and working tree, worktrees."""
        return (
            self.git("for-each-ref", "refs/heads"),
            self.git("rev-parse", "HEAD"),
            self.git("status", "--porcelain", "--untracked-files=all"),
            self.git("worktree", "list"),
        )

    def add_remote(self, bare: Path) -> "Repository":
        """A remote at this path, which has what is committed so far."""
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(bare)], check=True)
        self.git("remote", "add", "origin", str(bare))
        self.git("push", "--quiet", "origin", "HEAD:main")
        return Repository(bare)


def make_repository(root: Path) -> Repository:
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(root)], check=True)
    return Repository(root)
