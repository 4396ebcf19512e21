"""Show a page as the one comment of its kind on a pull request: `python -m deployments.comment terraform-plan plan.md`.

A second time changes that comment. GITHUB_TOKEN, GITHUB_REPOSITORY and GITHUB_API_URL are GitHub's own variables.
"""

import argparse
import os
import sys
from pathlib import Path

import httpx

LONGEST = 65_000  # characters; GitHub refuses a comment of more than 65,536
PAGE = 100
TIMEOUT_SECONDS = 30
AUTHOR = "github-actions[bot]"  # somebody else's comment that quotes ours is not ours


def main() -> int:
    asked = _parser().parse_args()
    repository = os.environ["GITHUB_REPOSITORY"]
    with httpx.Client(
        base_url=os.environ.get("GITHUB_API_URL", "https://api.github.com"),
        headers={"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"},
        timeout=TIMEOUT_SECONDS,
    ) as github:
        print(show(github, f"/repos/{repository}", asked.pull_request, asked.kind, asked.page.read_text()))  # noqa: T201
    return 0


def show(github: httpx.Client, repository: str, pull_request: int, kind: str, page: str) -> str:
    """The comment's address."""
    mark = f"<!-- runbook:{kind} -->"
    body = {"body": f"{mark}\n{shortened(page)}"}
    if known := _find(github, f"{repository}/issues/{pull_request}/comments", mark):
        answer = github.patch(f"{repository}/issues/comments/{known}", json=body)
    else:
        answer = github.post(f"{repository}/issues/{pull_request}/comments", json=body)
    return str(answer.raise_for_status().json()["html_url"])


def shortened(page: str) -> str:
    if len(page) <= LONGEST:
        return page
    return (
        f"{page[:LONGEST].rpartition(chr(10))[0]}\n\n**Cut off here: {len(page)} characters.** The job's log has all.\n"
    )


def _find(github: httpx.Client, comments: str, mark: str) -> int | None:
    url: str | None = f"{comments}?per_page={PAGE}"
    while url:
        answer = github.get(url).raise_for_status()
        for one in answer.json():
            if one["user"]["login"] == AUTHOR and str(one["body"]).startswith(mark):
                return int(one["id"])
        url = answer.links.get("next", {}).get("url")
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployments.comment", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("kind", help="what the page is about; one comment of a kind on each pull request")
    parser.add_argument("page", type=Path, help="a Markdown file")
    parser.add_argument("--pull-request", type=int, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
