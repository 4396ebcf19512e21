"""The second half of a rollback: take the change back in git too, or the next deployment brings it again (N08)."""

from tasks import github
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.github import GitHubRefused
from tasks.releases import REVISION_LABEL, Release
from tasks.report import say


def make_it_last(releases: tuple[Release, ...], target: Release) -> None:
    """Open the pull request that reverts the newest release's commit, or say which commit to make.

    Raises:
        VerificationFailed: GitHub is set up and did not open it. The rollback itself stands.
    """
    newest = releases[0]
    if newest.image.digest == target.image.digest:
        return say(f"{target.image} is the newest release: nothing in git brings another one")
    if not newest.revision:
        return say(
            f"image {newest.image} does not say which commit it was built from (no label {REVISION_LABEL}): revert that"
            " commit by hand, or the next build deploys it again"
        )
    say(f"until commit {newest.revision} is reverted, the next build deploys it again")
    say(f"by hand: git revert --no-edit {newest.revision} && git push")
    body = f"{target.image} runs again since a rollback; until this is merged, the next build brings the change back."
    try:
        address = github.open_revert_pull_request(newest.revision, f"Take release {newest.image} back", body)
    except (PreconditionFailed, GitHubRefused) as refusal:
        raise VerificationFailed(
            f"{target.image} serves again and stays, but the pull request that makes it last was not opened: {refusal}"
        ) from refusal
    return say(f"merge {address}" if address else "GitHub is not set up here: no pull request was opened")
