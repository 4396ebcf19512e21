"""Where a replacement stands, as a table over what AWS can answer: what a resumed run does next hangs on it."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.instance_refresh import Refresh
from tasks.launch_template import Configuration, TemplateVersion
from tasks.replacement import Replacement

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEFORE, WANTED = Configuration("repo@sha256:a", "ami-1"), Configuration("repo@sha256:b", "ami-1")
OLD = TemplateVersion("lt-1", 1, BEFORE, NOON - timedelta(days=1), None)
NEW = TemplateVersion("lt-1", 2, WANTED, NOON, 1)


def refresh(status: str, version: int, minutes: int = 1) -> Refresh:
    return Refresh("r-1", "asg", status, "", 50, NOON + timedelta(minutes=minutes), None, version)


@pytest.mark.parametrize(
    ("current", "attempt", "newest", "stage"),
    [
        (OLD, None, None, "new"),
        (OLD, None, refresh("Successful", 1, -60), "new"),
        (OLD, NEW, None, "begun"),
        (OLD, NEW, refresh("Successful", 1, -60), "begun"),  # killed before its own refresh was started
        (OLD, NEW, refresh("InProgress", 2), "begun"),
        (OLD, NEW, refresh("Baking", 2), "begun"),
        (OLD, NEW, refresh("RollbackInProgress", 2), "failed"),
        (OLD, NEW, refresh("RollbackSuccessful", 2), "failed"),
        (OLD, NEW, refresh("Failed", 2), "failed"),
        (OLD, NEW, refresh("Cancelled", 2), "failed"),
        (NEW, NEW, refresh("Successful", 2), "live"),
        (OLD, OLD, None, "live"),  # as Terraform built it
        (NEW, NEW, refresh("InProgress", 1), "failed"),  # on its way back after it was live
        (OLD, NEW, refresh("Successful", 1), "failed"),  # back already, only the version is left
    ],
)
def test_the_stage_follows_from_what_aws_shows(
    current: TemplateVersion, attempt: TemplateVersion | None, newest: Refresh | None, stage: str
) -> None:
    assert Replacement(WANTED, current, attempt, newest, verified=False).stage == stage


def test_what_was_proven_once_is_never_undone() -> None:
    live = refresh("Successful", 2)
    assert Replacement(WANTED, NEW, NEW, live, verified=False).can_be_undone
    assert not Replacement(WANTED, NEW, NEW, live, verified=True).can_be_undone


def test_the_first_release_of_an_environment_has_nothing_to_go_back_to() -> None:
    assert not Replacement(BEFORE, OLD, OLD, None, verified=False).can_be_undone


def test_the_same_configuration_for_another_request_is_another_change() -> None:
    rotated = TemplateVersion("lt-1", 2, Configuration("repo@sha256:a", "ami-1", "rotate-1"), NOON, 1)
    assert rotated.is_made_of(BEFORE)  # a deployment does not care why the instances were replaced
    assert rotated.is_made_of(Configuration("repo@sha256:a", "ami-1", "rotate-1"))
    assert not rotated.is_made_of(Configuration("repo@sha256:a", "ami-1", "rotate-2"))
