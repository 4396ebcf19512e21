"""A small server that answers as GitHub's API does where a revert asks it, and keeps what it was asked to make."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prefect.blocks.system import Secret
from prefect.variables import Variable

Answer = tuple[int, Any]
PAGE = 2  # small, so that a test with three pull requests has a second page


@dataclass
class GitHub:
    """One repository: pull requests by number, and which of them brought which commit."""

    name: str
    token: str
    url: str = ""
    can_push: bool = True
    pulls: list[dict[str, Any]] = field(default_factory=list)
    brought: dict[str, int] = field(default_factory=dict)
    stats: dict[str, tuple[int, int]] = field(default_factory=dict)
    refuses: str | None = None  # what GraphQL says instead of doing it
    failures: int = 0  # so many answers are 502
    comments: list[dict[str, Any]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def add_pull(self, branch: str, **details: Any) -> dict[str, Any]:
        number = len(self.pulls) + 1
        pull = {
            "number": number,
            "node_id": f"PR_{number}",
            "state": "open",
            "head": {"ref": branch},
            "html_url": f"https://github.com/{self.name}/pull/{number}",
            "title": "",
            "body": None,
            "merged_at": None,
            "merge_commit_sha": None,
            **details,
        }
        self.pulls.append(pull)
        return pull

    def merge(self, branch: str, sha: str, changed: tuple[int, int] = (1, 1), commit: tuple[int, int] = (1, 1)) -> None:
        """A pull request that was merged as this commit; additions and deletions of the whole and of the commit."""
        pull = self.add_pull(
            branch,
            state="closed",
            merged_at="2026-11-24T02:00:00Z",
            merge_commit_sha=sha,
            additions=changed[0],
            deletions=changed[1],
        )
        self.brought[sha] = pull["number"]
        self.stats[sha] = commit

    @property
    def open(self) -> list[dict[str, Any]]:
        return [pull for pull in self.pulls if pull["state"] == "open"]

    def answer(self, method: str, path: str, content: Any) -> Answer:
        if path == "/graphql":
            return self._revert(content["variables"]["input"])
        rest = path.removeprefix(f"/repos/{self.name}")
        if rest == "":
            return 200, {"default_branch": "main", "permissions": {"push": self.can_push}}
        if rest == "/pulls":
            return self._create(content) if method == "POST" else (200, self.open)
        if found := re.fullmatch(r"/pulls/(\d+)", rest):
            return 200, self.pulls[int(found[1]) - 1]
        if found := re.fullmatch(r"/commits/(\w+)/pulls", rest):
            number = self.brought.get(found[1])
            return (200, [self.pulls[number - 1]]) if number else (422, {"message": f"No commit found for {found[1]}"})
        if found := re.fullmatch(r"/commits/(\w+)", rest):
            additions, deletions = self.stats[found[1]]
            return 200, {"stats": {"additions": additions, "deletions": deletions}}
        if found := re.fullmatch(r"/issues/(\d+)/comments", rest):
            return self._comment(int(found[1]), content) if method == "POST" else (200, self.comments)
        if found := re.fullmatch(r"/issues/comments/(\d+)", rest):
            self.comments[int(found[1]) - 1].update(content)
            return 200, self.comments[int(found[1]) - 1]
        if rest.startswith("/actions/variables"):
            return self._variable(rest.removeprefix("/actions/variables").strip("/"), content)
        return 404, {"message": "Not Found"}

    def _variable(self, name: str, content: dict[str, Any] | None) -> Answer:
        if not name and content:
            self.variables[content["name"]] = content["value"]
            return 201, {}
        if name not in self.variables:
            return 404, {"message": "Not Found"}
        if content is None:
            return 200, {"name": name, "value": self.variables[name]}
        self.variables[name] = content["value"]
        return 204, None

    def _comment(self, issue: int, content: dict[str, Any], author: str = "github-actions[bot]") -> Answer:
        number = len(self.comments) + 1
        address = f"https://github.com/{self.name}/pull/{issue}#issuecomment-{number}"
        self.comments.append({"id": number, "user": {"login": author}, "html_url": address, **content})
        return 201, self.comments[-1]

    def _create(self, wanted: dict[str, Any]) -> Answer:
        if any(pull["head"]["ref"] == wanted["head"] for pull in self.open):
            return 422, {"message": "Validation Failed", "errors": ["A pull request already exists"]}
        details = {"title": wanted["title"], "body": wanted["body"], "base": {"ref": wanted["base"]}}
        return 201, self.add_pull(wanted["head"], **details)

    def _revert(self, wanted: dict[str, Any]) -> Answer:
        if self.refuses:
            return 200, {"data": {"revertPullRequest": None}, "errors": [{"message": self.refuses}]}
        (reverted,) = (pull for pull in self.pulls if pull["node_id"] == wanted["pullRequestId"])
        branch = f"revert-{reverted['number']}-{reverted['head']['ref']}"
        made = self.add_pull(branch, title=wanted["title"], body=wanted["body"])
        return 200, {"data": {"revertPullRequest": {"revertPullRequest": {"url": made["html_url"]}}}}


@contextmanager
def set_up(github: GitHub) -> Iterator[None]:
    """Tell the Prefect server of this process how GitHub is reached."""
    Secret(value=github.token).save("github-token", overwrite=True)
    Variable.set("github-repository", github.name, overwrite=True)
    Variable.set("github-api-url", github.url, overwrite=True)
    try:
        yield
    finally:
        Secret.delete("github-token")
        for name in ("github-repository", "github-api-url"):
            Variable.unset(name)


@contextmanager
def serving(github: GitHub) -> Iterator[GitHub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve(None)

        def do_POST(self) -> None:
            self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        do_PATCH = do_POST  # noqa: N815 - http.server's own naming

        def _serve(self, content: Any) -> None:
            given, asked = self.headers.get("Authorization"), urlsplit(self.path)
            query, next_page = parse_qs(asked.query), None
            if github.failures:
                github.failures -= 1
                status, answer = 502, {"message": "Bad Gateway"}
            elif given != f"Bearer {github.token}":
                # A proxy that repeats what it was sent, which is what a secret must survive.
                status, answer = 401, {"message": "Bad credentials", "sent": given}
            else:
                status, answer = github.answer(self.command, asked.path, content)
            if isinstance(answer, list):
                page = int(query.get("page", ["1"])[0])
                if len(answer) > page * PAGE:
                    next_page = f"{github.url}{asked.path}?page={page + 1}"
                answer = answer[(page - 1) * PAGE : page * PAGE]
            self.send_response(status)
            if next_page:
                self.send_header("Link", f'<{next_page}>; rel="next"')
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    github.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
