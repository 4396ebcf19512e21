"""GitHub: the pull request that takes a commit back, where a Prefect Secret block and a Variable say how to open it."""

import os
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from prefect.blocks.system import Secret
from prefect.variables import Variable
from pydantic import SecretStr

from tasks import aws, git
from tasks.errors import PreconditionFailed, RunbookError
from tasks.kinds import action, probe
from tasks.report import say

TOKEN = "github-token"  # noqa: S105 - the name of the block
REPOSITORY = "github-repository"
API = "github-api-url"
NAME = re.compile(r"[\w.-]+/[\w.-]+")
DEFAULT_API = "https://api.github.com"
API_VERSION = "2022-11-28"
TIMEOUT_SECONDS = 30
PAGE = 100
REVERT_PULL_REQUEST = """
mutation($input: RevertPullRequestInput!) {
  revertPullRequest(input: $input) { revertPullRequest { url } }
}"""


class GitHubRefused(RunbookError):
    """GitHub did not open the pull request. What this run changed in the environment before stays as it is."""


@dataclass(frozen=True)
class Repository:
    """One repository on GitHub and the token that may write to it."""

    name: str
    api: str
    token: SecretStr

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]

    @property
    def path(self) -> str:
        return f"{self.api}/repos/{self.name}"

    @property
    def graphql(self) -> str:
        """GitHub Enterprise Server has REST below /api/v3 and GraphQL beside it."""
        return f"{self.api.removesuffix('/v3')}/graphql"

    def call(self, method: str, url: str, **content: Any) -> httpx.Response:
        """The answer, also a refusal. What GitHub cannot do right now is raised, for the task to try again."""
        headers = {
            "Authorization": f"Bearer {self.token.get_secret_value()}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": API_VERSION,
        }
        answer = httpx.request(method, url, headers=headers, timeout=TIMEOUT_SECONDS, **content)
        if answer.is_server_error:
            answer.raise_for_status()
        return answer

    def read(self, url: str, **content: Any) -> Any:
        answer = self.call("GET", url, **content)
        if answer.is_error:
            raise GitHubRefused(self.refusal(f"GET {url}", answer))
        return answer.json()

    def refusal(self, asked: str, answer: httpx.Response) -> str:
        said = answer.text[:500].replace(self.token.get_secret_value(), "(the token)")
        return (
            f"GitHub answered {asked} with {answer.status_code}: {' '.join(said.split())}. Expected that the token in"
            f" the Secret block {TOKEN} may write contents and pull requests of {self.name}"
        )


@probe
def describe_access() -> str:
    """Where a revert will be opened, or why it has to be made by hand: an emergency does not wait for GitHub."""
    repository = _configured()
    if repository is None:
        return "by hand, GitHub is not set up here"
    try:
        answer = repository.call("GET", repository.path)
    except httpx.HTTPError as error:
        return f"by hand, unless GitHub answers by then: {type(error).__name__} {error}"
    if answer.is_error:
        return f"by hand, {repository.refusal(f'GET {repository.path}', answer)}"
    if not answer.json().get("permissions", {}).get("push", True):
        return f"by hand, the token in the Secret block {TOKEN} may read {repository.name} but not write to it"
    return f"a pull request in {repository.name}"


@action
def open_revert_pull_request(commit: str, title: str, body: str) -> str | None:
    """Have a pull request open that takes `commit` back; one that is open already is found and used.

    A commit that is exactly what one pull request merged is reverted by GitHub itself; any other one is reverted here,
    and the branch is pushed.

    Returns:
        Its address, or None when GitHub is not set up: then a person runs git.commands_to_revert.
    """
    repository = _configured()
    if repository is None:
        return None
    found = git.describe_commit.fn(commit)
    merged = _find_merged(repository, found)
    if address := _find_open(repository, found, merged):
        say(f"pull request {address} takes {found.short} back already")
        return address
    aws.ask_before_change("github", "open_revert_pull_request", {"commit": commit})
    text = f"{body}\n\nThis reverts commit {found.sha}."
    if merged and _is_whole(repository, found, merged["number"]):
        return _revert_by_github(repository, merged["node_id"], title, text)
    return _revert_by_branch(repository, found, title, text)


@action
def set_variable(name: str, value: str) -> bool:
    """Give the workflows a variable, and read it again; False when GitHub is not set up here.

    Raises:
        GitHubRefused: the token may not write variables, or GitHub has another value afterwards.
    """
    repository = _configured()
    if repository is None:
        return False
    variables, wanted = f"{repository.path}/actions/variables", {"name": name, "value": value}
    aws.ask_before_change("github", "set_variable", wanted)
    if _find_variable(repository, name) is None:
        answer = repository.call("POST", variables, json=wanted)
    else:
        answer = repository.call("PATCH", f"{variables}/{name}", json=wanted)
    if answer.is_error:
        raise GitHubRefused(repository.refusal(f"variable {name}", answer))
    if (found := _find_variable(repository, name)) != value:
        raise GitHubRefused(f"variable {name} is {found!r} in {repository.name}, expected {value!r}")
    return True


def _find_variable(repository: Repository, name: str) -> str | None:
    answer = repository.call("GET", f"{repository.path}/actions/variables/{name}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    if answer.is_error:
        raise GitHubRefused(repository.refusal(f"variable {name}", answer))
    return str(answer.json()["value"])


def _configured() -> Repository | None:
    name, token = str(Variable.get(REPOSITORY) or ""), _read_token()
    if not token or not NAME.fullmatch(name):
        missing = f"Secret block {TOKEN}" if not token else f"Variable {REPOSITORY} of the form owner/name"
        say(f"GitHub is not set up here: Prefect has no {missing}", note=False)
        return None
    return Repository(name, str(Variable.get(API) or DEFAULT_API).rstrip("/"), token)


def _read_token() -> SecretStr | None:
    try:
        block = Secret.load(TOKEN)
    except ValueError:  # Prefect's word for a block that does not exist
        return None
    return SecretStr(str(block.value.get_secret_value()))  # type: ignore[union-attr]


def _find_merged(repository: Repository, commit: git.Commit) -> dict[str, Any] | None:
    """The pull request that brought exactly this commit into its branch."""
    answer = repository.call("GET", f"{repository.path}/commits/{commit.sha}/pulls", params={"per_page": PAGE})
    if answer.status_code in (404, 422):  # GitHub does not know the commit
        return None
    if answer.is_error:
        raise GitHubRefused(repository.refusal("which pull request brought the commit", answer))
    merged = (p for p in answer.json() if p.get("merged_at") and p.get("merge_commit_sha") == commit.sha)
    return next(merged, None)


def _find_open(repository: Repository, commit: git.Commit, merged: dict[str, Any] | None) -> str | None:
    """One of ours, or one that a person opened with GitHub's button."""
    button = f"revert-{merged['number']}-" if merged else None
    for pull in _open_pull_requests(repository):
        branch, body = str(pull["head"]["ref"]), str(pull.get("body") or "")
        by_button = button is not None and branch.startswith(button)
        if by_button or branch == commit.branch or f"This reverts commit {commit.sha}" in body:
            return str(pull["html_url"])
    return None


def _open_pull_requests(repository: Repository) -> Iterator[dict[str, Any]]:
    url: str | None = f"{repository.path}/pulls?state=open&per_page={PAGE}"
    while url:
        answer = repository.call("GET", url)
        if answer.is_error:
            raise GitHubRefused(repository.refusal("which pull requests are open", answer))
        yield from answer.json()
        url = answer.links.get("next", {}).get("url")


def _is_whole(repository: Repository, commit: git.Commit, number: int) -> bool:
    """Whether the commit is all that the pull request merged: a rebased one has more commits, and GitHub would take all
    of them back, which is more than was asked and more than was tried out."""
    pull = repository.read(f"{repository.path}/pulls/{number}")
    stats = repository.read(f"{repository.path}/commits/{commit.sha}")["stats"]
    return (pull["additions"], pull["deletions"]) == (stats["additions"], stats["deletions"])


def _revert_by_github(repository: Repository, node_id: str, title: str, body: str) -> str:
    wanted = {"pullRequestId": node_id, "title": title, "body": body}
    query = {"query": REVERT_PULL_REQUEST, "variables": {"input": wanted}}
    answer = repository.call("POST", repository.graphql, json=query)
    if answer.is_error or answer.json().get("errors"):
        raise GitHubRefused(repository.refusal("revertPullRequest", answer))
    return str(answer.json()["data"]["revertPullRequest"]["revertPullRequest"]["url"])


def _revert_by_branch(repository: Repository, commit: git.Commit, title: str, body: str) -> str:
    remote = git.find_remote(repository.name)
    if remote is None:
        raise GitHubRefused(
            f"no remote of this clone is {repository.name}, expected one to push {commit.branch} to. Run: git remote"
            f" add origin <address of {repository.name}>; then: {'; '.join(git.commands_to_revert(commit))}"
        )
    revert = git.make_revert.fn(commit)
    try:
        git.push(revert, remote[0], _credentials(repository, remote[1]))
    except PreconditionFailed as refused:
        raise GitHubRefused(f"{refused}. Do it by hand: {'; '.join(git.commands_to_revert(commit))}") from refused
    base = repository.read(repository.path)["default_branch"]
    wanted = {"title": title, "head": commit.branch, "base": base, "body": body}
    answer = repository.call("POST", f"{repository.path}/pulls", json=wanted)
    if answer.is_error:
        raise GitHubRefused(repository.refusal(f"a pull request of {commit.branch}", answer))
    return str(answer.json()["html_url"])


def _credentials(repository: Repository, address: str) -> dict[str, str]:
    """The token for git, by environment and for one address alone: an argument could be read by every process here."""
    host = httpx.URL(repository.api).host.removeprefix("api.")
    if not address.startswith("https://") or httpx.URL(address).host != host:
        return {}
    basic = b64encode(f"x-access-token:{repository.token.get_secret_value()}".encode()).decode()
    index = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    return {
        "GIT_CONFIG_COUNT": str(index + 1),
        f"GIT_CONFIG_KEY_{index}": f"http.{address}.extraHeader",
        f"GIT_CONFIG_VALUE_{index}": f"Authorization: Basic {basic}",
    }
