"""A commit of this checkout and the commit that takes it back, by the real git in a repository of the test's own."""

import os
import subprocess
from pathlib import Path

import pytest

from tasks import git
from tasks.errors import PreconditionFailed
from tests.repository import Repository, make_repository

CODE = {"terraform/main.tf": "one\n", "app/main.py": "app\n"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The repository that the product's code is taken to be a checkout of."""
    made = make_repository(tmp_path / "clone")
    made.commit("first", CODE)
    monkeypatch.setattr(git, "ROOT", made.root)
    return made


def revert(commit: str) -> git.Revert:
    return git.make_revert.fn(git.describe_commit.fn(commit))


def test_a_revert_is_what_head_would_be_without_the_change_and_nothing_else_moves(repository: Repository) -> None:
    bad = repository.commit("worse", {"terraform/main.tf": "two\n"})
    repository.commit("later", {"app/main.py": "better\n"})
    (repository.root / "terraform" / "main.tf").write_text("unsaved work\n")
    before = repository.state()
    made = revert(bad[:8])
    assert repository.state() == before
    assert (repository.root / "terraform" / "main.tf").read_text() == "unsaved work\n"
    assert repository.git("show", f"{made.sha}:terraform/main.tf") == "one"
    assert repository.git("show", f"{made.sha}:app/main.py") == "better"
    assert repository.git("show", "--no-patch", "--format=%B", made.sha) == (
        f'Revert "worse"\n\nThis reverts commit {bad}.'
    )
    assert list_worktrees(repository) == 1


def test_the_same_revert_is_the_same_commit(repository: Repository) -> None:
    bad = repository.commit("worse", {"terraform/main.tf": "two\n"})
    assert revert(bad) == revert(bad)


def test_the_reverted_files_can_be_had_for_a_while(repository: Repository) -> None:
    made = revert(repository.commit("worse", {"terraform/main.tf": "two\n", "terraform/new.tf": "new\n"}))
    with git.exported(made.sha, "terraform") as folder:
        assert {path.name: path.read_text() for path in folder.iterdir()} == {"main.tf": "one\n"}
    assert not folder.exists()


def test_a_merge_is_taken_back_as_a_whole(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "topic")
    repository.commit("a", {"terraform/main.tf": "two\n"})
    repository.commit("b", {"terraform/new.tf": "new\n"})
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--message", "merge topic", "topic")
    commit = git.describe_commit.fn(repository.git("rev-parse", "HEAD"))
    assert (commit.is_merge, set(commit.files)) == (True, {"terraform/main.tf", "terraform/new.tf"})
    assert repository.git("diff", "HEAD~1", git.make_revert.fn(commit).sha) == ""


def test_a_conflict_is_refused_with_the_files_and_leaves_nothing(repository: Repository) -> None:
    bad = repository.commit("worse", {"terraform/main.tf": "two\n"})
    repository.commit("on top", {"terraform/main.tf": "three\n"})
    before = repository.state()
    with pytest.raises(PreconditionFailed, match=r'"worse" cannot be taken back .*\(terraform/main\.tf\)'):
        revert(bad)
    assert repository.state() == before


def test_a_commit_that_was_taken_back_already_is_refused(repository: Repository) -> None:
    bad = repository.commit("worse", {"terraform/main.tf": "two\n"})
    repository.git("revert", "--no-edit", bad)
    with pytest.raises(PreconditionFailed, match="taken back already"):
        revert(bad)


@pytest.mark.parametrize("wrong", ["0123456789abcdef", "main~7", "--help", "terraform/main.tf"])
def test_an_unknown_commit_is_refused_by_name(repository: Repository, wrong: str) -> None:
    with pytest.raises(PreconditionFailed, match=f"no commit {wrong}, expected one that"):
        git.describe_commit.fn(wrong)


def test_a_commit_of_another_branch_is_refused(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "topic")
    elsewhere = repository.commit("elsewhere", {"terraform/main.tf": "two\n"})
    repository.git("switch", "--quiet", "main")
    with pytest.raises(PreconditionFailed, match="is not part of what is checked out"):
        git.describe_commit.fn(elsewhere)


def test_code_that_is_no_checkout_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = make_repository(tmp_path)
    monkeypatch.setattr(git, "ROOT", outer.root / "site-packages")
    git.ROOT.mkdir()
    with pytest.raises(PreconditionFailed, match=r"not a git checkout .*git clone"):
        git.describe_commit.fn("HEAD")


def test_uncommitted_changes_are_named(repository: Repository) -> None:
    (repository.root / "terraform" / "main.tf").write_text("unsaved\n")
    (repository.root / "terraform" / "a new one.tf").touch()
    (repository.root / "app" / "main.py").write_text("elsewhere\n")
    assert set(git.list_uncommitted.fn("terraform")) == {"terraform/main.tf", "terraform/a new one.tf"}


def test_what_a_killed_run_left_is_cleared_away(repository: Repository) -> None:
    bad = repository.commit("worse", {"terraform/main.tf": "two\n"})
    left = repository.root / ".git" / git.FOLDER / "worktree"
    left.parent.mkdir()
    repository.git("worktree", "add", "--quiet", "--detach", str(left))
    (left / "terraform" / "main.tf").write_text("half a revert\n")
    assert repository.git("show", f"{revert(bad).sha}:terraform/main.tf") == "one"
    assert list_worktrees(repository) == 1


def test_the_files_that_a_killed_run_left_are_cleared_away(repository: Repository) -> None:
    made = revert(repository.commit("worse", {"terraform/main.tf": "two\n"}))
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = repository.root / ".git" / git.FOLDER / f"source-{dead.pid}-of-old"
    living = left.with_name(f"source-{os.getppid()}-at-work")
    for folder in (left, living):
        folder.mkdir()
    with git.exported(made.sha, "terraform"):
        assert (left.exists(), living.exists()) == (False, True)


def test_the_branch_is_pushed_once(repository: Repository, tmp_path: Path) -> None:
    bad = repository.commit("worse", {"terraform/main.tf": "two\n"})
    remote = repository.add_remote(tmp_path / "acme" / "shop.git")
    found = git.find_remote("acme/shop")
    assert found
    made = revert(bad)
    for _ in range(2):
        git.push(made, found[0])
    assert remote.git("for-each-ref", "--format=%(refname:short) %(objectname)").splitlines() == [
        f"main {bad}",
        f"revert-{bad[:12]} {made.sha}",
    ]
    assert git.find_remote("acme/other") is None


def test_the_commands_for_a_person_make_the_same_revert(repository: Repository, tmp_path: Path) -> None:
    bad = repository.commit("worse", {"terraform/main.tf": "two\n"})
    remote = repository.add_remote(tmp_path / "acme" / "shop.git")
    for name, value in (("user.name", "ada"), ("user.email", "ada@example.com")):
        repository.git("config", name, value)
    commit = git.describe_commit.fn(bad)
    made = git.make_revert.fn(commit)
    for command in git.commands_to_revert(commit)[:-1]:
        subprocess.run(command.split(), cwd=repository.root, check=True, capture_output=True)
    assert remote.git("rev-parse", f"{commit.branch}^{{tree}}") == repository.git("rev-parse", f"{made.sha}^{{tree}}")


def test_credentials_in_a_remotes_address_are_in_no_error(repository: Repository) -> None:
    made = revert(repository.commit("worse", {"terraform/main.tf": "two\n"}))
    repository.git("remote", "add", "origin", "https://ada:canary@127.0.0.1:1/acme/shop.git")
    with pytest.raises(PreconditionFailed, match="git push failed") as refusal:
        git.push(made, "origin")
    assert "canary" not in str(refusal.value)


def list_worktrees(repository: Repository) -> int:
    return len(repository.git("worktree", "list").splitlines())
