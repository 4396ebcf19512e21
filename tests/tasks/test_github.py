"""A commit is taken back by one pull request, however it came in, however often it is asked for, without a leak."""

import logging
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.artifacts import Artifact
from prefect.variables import Variable

from tasks import git, github
from tasks.ecr import Image
from tasks.github import GitHubRefused, describe_access, open_revert_pull_request
from tasks.make_it_last import make_it_last
from tasks.procedure import procedure
from tasks.releases import Release
from tasks.report import say
from tests.github import GitHub, serving, set_up
from tests.repository import Repository, make_repository

NAME = "acme/shop"
CANARY = "ghp_canary0123456789"


@procedure
def take_back(commit: str) -> str | None:
    """Ask for the pull request as a procedure does.

    Args:
        commit: What to take back.
    """
    say(describe_access())
    return open_revert_pull_request(commit, "Revert it", "Because of the alarm.")


@pytest.fixture(scope="module")
def account(prefect_server: str) -> Iterator[GitHub]:
    """GitHub, and a Prefect server that knows how to reach it."""
    with serving(GitHub(NAME, CANARY)) as made, set_up(made):
        yield made


@pytest.fixture
def hub(account: GitHub) -> GitHub:
    account.pulls.clear()
    account.brought.clear()
    account.refuses, account.can_push, account.failures = None, True, 0
    return account


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = make_repository(tmp_path / "clone")
    made.commit("first", {"app.py": "one\n"})
    made.add_remote(tmp_path / f"{NAME}.git")
    monkeypatch.setattr(git, "ROOT", made.root)
    return made


@pytest.fixture
def bad(repository: Repository) -> str:
    sha = repository.commit("worse", {"app.py": "two\n"})
    repository.git("push", "--quiet", "origin", "main")
    return sha


def branches(repository: Repository) -> list[str]:
    return repository.git("ls-remote", "--heads", "origin").split()[1::2]


def test_a_merged_pull_request_is_reverted_by_github_itself(hub: GitHub, repository: Repository, bad: str) -> None:
    hub.merge("topic", bad)
    assert take_back(bad) == hub.open[0]["html_url"]
    assert (hub.open[0]["head"]["ref"], hub.open[0]["title"]) == ("revert-1-topic", "Revert it")
    assert hub.open[0]["body"] == f"Because of the alarm.\n\nThis reverts commit {bad}."
    assert branches(repository) == ["refs/heads/main"]


def test_a_commit_without_a_pull_request_is_reverted_on_a_pushed_branch(
    hub: GitHub, repository: Repository, bad: str
) -> None:
    assert take_back(bad) == hub.open[0]["html_url"]
    assert (hub.open[0]["head"]["ref"], hub.open[0]["base"]["ref"]) == (f"revert-{bad[:12]}", "main")
    repository.git("fetch", "--quiet", "origin")
    assert repository.git("show", f"origin/revert-{bad[:12]}:app.py") == "one"


def test_one_commit_of_a_larger_pull_request_is_not_reverted_with_all_of_it(
    hub: GitHub, repository: Repository, bad: str
) -> None:
    hub.merge("topic", bad, changed=(40, 12), commit=(1, 1))
    take_back(bad)
    assert hub.open[0]["head"]["ref"] == f"revert-{bad[:12]}"


@pytest.mark.parametrize("merged", [True, False])
def test_asked_twice_there_is_one_pull_request(hub: GitHub, bad: str, merged: bool) -> None:
    for branch in ("other", "another", "a-third"):
        hub.add_pull(branch)
    if merged:
        hub.merge("topic", bad)
    first = take_back(bad)
    assert (take_back(bad), len(hub.open)) == (first, 4)


def test_the_one_that_a_person_opened_with_the_button_is_used(hub: GitHub, bad: str) -> None:
    hub.merge("topic", bad)
    by_hand = hub.add_pull("revert-1-topic")
    assert take_back(bad) == by_hand["html_url"]
    assert len(hub.open) == 1


def test_a_run_killed_after_the_push_opens_the_pull_request(hub: GitHub, repository: Repository, bad: str) -> None:
    git.push(git.make_revert.fn(git.describe_commit.fn(bad)), "origin")
    repository.commit("main moved on", {"other.py": "more\n"})
    assert take_back(bad) == hub.open[0]["html_url"]


def test_a_server_error_is_tried_again(hub: GitHub, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_revert_pull_request, "retry_delay_seconds", 0)
    hub.failures = 2
    assert take_back(bad) == hub.open[0]["html_url"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("token", "another", "with 401"),
        ("name", "acme/renamed", "with 404"),
        ("refuses", f"Something went wrong with {CANARY}", "answered revertPullRequest with 200"),
    ],
)
def test_a_refusal_says_what_github_wants_and_never_the_token(
    hub: GitHub,
    bad: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: object,
    message: str,
) -> None:
    hub.merge("topic", bad)
    monkeypatch.setattr(hub, name, value)
    with caplog.at_level(logging.DEBUG), pytest.raises(GitHubRefused, match=message) as refusal:
        take_back(bad)
    assert hub.open == []
    report = Artifact.get("take-back")
    assert report
    assert message in str(report.data)  # type: ignore[union-attr]
    assert CANARY not in f"{refusal.value} {caplog.text} {report}"


def test_a_token_that_may_not_write_and_a_github_that_is_away_are_known_before_the_rollback(hub: GitHub) -> None:
    hub.can_push = False
    assert (
        describe_access.fn()
        == "by hand, the token in the Secret block github-token may read acme/shop but not write to it"
    )
    hub.failures = 1
    assert "502 Bad Gateway" in describe_access.fn()
    hub.can_push = True
    assert describe_access.fn() == "a pull request in acme/shop"


def test_where_github_is_not_set_up_nothing_is_opened(hub: GitHub, bad: str) -> None:
    Variable.unset(github.REPOSITORY)
    try:
        assert open_revert_pull_request.fn(bad, "t", "b") is None
        assert describe_access.fn() == "by hand, GitHub is not set up here"
    finally:
        Variable.set(github.REPOSITORY, NAME, overwrite=True)
    assert hub.open == []


def test_the_token_is_given_to_gits_address_of_that_repository_alone(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = github.Repository(NAME, github.DEFAULT_API, github.SecretStr(CANARY))
    given = github._credentials(where, "https://github.com/acme/shop.git")
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    def header_for(address: str) -> str:
        command = ["git", "config", "--get-urlmatch", "http.extraHeader", address]
        return subprocess.run(command, cwd=repository.root, capture_output=True, text=True, check=False).stdout

    assert "Basic" in header_for("https://github.com/acme/shop.git/info/refs")
    assert (
        header_for("https://github.com/acme/other.git") == header_for("https://elsewhere.example/acme/shop.git") == ""
    )
    for address in (
        "https://elsewhere.example/acme/shop.git",
        "http://github.com/acme/shop.git",
        "git@github.com:acme/shop",
    ):
        assert github._credentials(where, address) == {}


def test_github_enterprise_has_graphql_beside_rest() -> None:
    where = github.Repository(NAME, "https://git.example/api/v3", github.SecretStr(CANARY))
    assert where.graphql == "https://git.example/api/graphql"


def release(tag: str, revision: str | None = None) -> Release:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    return Release(Image("repository", f"sha256:{tag}", (tag,), now), (1, 1), revision, now)


@procedure
def finish_rollback(revision: str) -> None:
    """The second half of a rollback from the release that was built from a commit.

    Args:
        revision: The commit.
    """
    older = release("1.0.0")
    make_it_last((release("2.0.0", revision), older), older)


def test_a_rollback_of_the_application_ends_in_one_open_pull_request(hub: GitHub, bad: str) -> None:
    for _ in range(2):
        assert finish_rollback(bad, return_state=True).is_completed()  # type: ignore[call-overload]
    (opened,) = hub.open
    assert "2.0.0" in opened["title"]


def test_a_pull_request_that_is_refused_leaves_the_rollback_standing_and_red(hub: GitHub, bad: str) -> None:
    hub.merge("topic", bad)
    hub.refuses = "Something went wrong"
    state = finish_rollback(bad, return_state=True)  # type: ignore[call-overload]
    assert state.is_failed()
    assert "serves again and stays" in str(state.result(raise_on_failure=False))
