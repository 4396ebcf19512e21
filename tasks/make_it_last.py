"""The second half of a rollback: take the change back in git too, or the next deployment brings it again (N08)."""

from tasks import git, github
from tasks.releases import Release
from tasks.report import say


def make_it_last(releases: tuple[Release, ...], target: Release) -> None:
    """Open the pull request that reverts the newest release's commit, or say what to do by hand."""
    newest = releases[0]
    if newest.image.digest == target.image.digest:
        return say(f"{target.image} is the newest release: nothing in git brings another one")
    if not newest.revision:
        return say(
            f"image {newest.image} does not say which commit it was built from (no label"
            " org.opencontainers.image.revision): revert that commit by hand, or the next build deploys it again"
        )
    body = f"{target.image} runs again since a rollback; until this is merged, the next build brings the change back."
    title = f"Take release {newest.image} back"
    if address := github.open_revert_pull_request(newest.revision, title, body):
        return say(f"merge {address}")
    return say(f"run: {'; '.join(git.commands_to_revert(git.describe_commit(newest.revision)))}")
