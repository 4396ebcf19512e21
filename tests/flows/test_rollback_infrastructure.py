"""A change is taken back by its commit; a lost state comes back; killed anywhere on the way, the end is the same."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.artifacts import Artifact

from flows.rollback_infrastructure import rollback_infrastructure
from tasks import aws, git
from tasks.environment import PROJECT
from tests import killing
from tests.github import GitHub, serving, set_up
from tests.repository import Repository, make_repository

ROOT = Path(__file__).parents[2]
ROLLBACK = "flows.rollback_infrastructure"
SETTINGS = "terraform/environments/dev/terraform.tfvars"
BUCKET, KEY = f"terraform-state-{PROJECT}-123456789012", "dev/terraform.tfstate"
CANARY = "ghp_canary0123456789"
CODE_DAYS, CHANGED_DAYS = 14, 30
pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository of its own with this very code, and one commit on top that keeps logs for longer."""
    made = make_repository(tmp_path_factory.mktemp("repositories") / "clone")
    for room in ("flows", "tasks", "terraform"):
        ignored = shutil.ignore_patterns("__pycache__", ".terraform*")
        shutil.copytree(ROOT / room, made.root / room, ignore=ignored)
    made.commit("the code that dev was built from", {"tests/killing.py": Path(killing.__file__).read_text()})
    settings = (made.root / SETTINGS).read_text()
    longer = settings.replace(f"log_retention_days  = {CODE_DAYS}", f"log_retention_days  = {CHANGED_DAYS}")
    assert longer != settings
    made.commit("keep logs for longer", {SETTINGS: longer})
    made.add_remote(made.root.parent / "acme" / "shop.git")
    return made


@pytest.fixture(scope="module")
def environment(built: dict[str, Any]) -> dict[str, str]:
    """The variables of a run in a process of its own."""
    return killing.variables(built["env"], built["prefect"])


@pytest.fixture
def here(clone: Repository, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The clone taken for the repository of this process's code: what only looks at git needs no process of its own."""
    monkeypatch.setattr(git, "ROOT", clone.root)
    return clone


@pytest.fixture
def hub(prefect_server: str) -> Iterator[GitHub]:
    with serving(GitHub("acme/shop", CANARY)) as github, set_up(github):
        yield github


def outcome(**parameters: Any) -> tuple[bool, str]:
    state = rollback_infrastructure("dev", return_state=True, **parameters)  # type: ignore[call-overload]
    return state.is_completed(), str(state.result(raise_on_failure=False))


def report() -> str:
    found = Artifact.get("rollback-infrastructure-dev")
    return str(found.data) if found else ""  # type: ignore[union-attr]


def retention_days() -> int:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/ec2/{PROJECT}-dev")["logGroups"]
    return int(groups[0]["retentionInDays"])


def state_versions() -> list[dict[str, Any]]:
    found = aws.client("s3").list_object_versions(Bucket=BUCKET, Prefix=KEY)
    return [version for version in found["Versions"] if version["Key"] == KEY]


def current_state() -> dict[str, Any]:
    state: dict[str, Any] = json.loads(aws.client("s3").get_object(Bucket=BUCKET, Key=KEY)["Body"].read())
    return state


@pytest.mark.exhaustive
def test_killed_behind_its_apply_a_rollback_takes_the_commit_back_once_and_opens_one_pull_request(
    clone: Repository, here: Repository, environment: dict[str, str], hub: GitHub
) -> None:
    bad = clone.git("rev-parse", "HEAD")
    assert killing.run("never", "flows.deploy_infrastructure", {"environment": "dev"}, environment, clone.root) == 0
    assert retention_days() == CHANGED_DAYS
    before, count = clone.state(), len(state_versions())

    ended_well, plan = outcome(commit=bad[:9], dry_run=True)
    assert ended_well, plan
    assert (retention_days(), len(state_versions()), hub.pulls) == (CHANGED_DAYS, count, [])

    wanted = {"environment": "dev", "commit": bad, "approved_plan": plan}
    assert killing.run("before:require_nothing_to_do", ROLLBACK, wanted, environment, clone.root) == killing.KILLED
    assert (retention_days(), len(state_versions()), hub.pulls) == (CODE_DAYS, count + 1, [])
    assert killing.run("never", ROLLBACK, wanted, environment, clone.root) == 0
    assert (retention_days(), len(state_versions())) == (CODE_DAYS, count + 1)
    assert [(pull["head"]["ref"], pull["title"]) for pull in hub.open] == [
        (f"revert-{bad[:12]}", 'Revert "keep logs for longer"')
    ]
    assert clone.state() == before
    assert hub.open[0]["html_url"] in report()
    assert "until the revert is merged, the next deploy_infrastructure from main brings" in report()
    assert CANARY not in report()


def test_without_github_the_commands_are_in_the_report_and_what_is_taken_back_stays_so(here: Repository) -> None:
    bad, count = here.git("rev-parse", "HEAD"), len(state_versions())
    (here.root / SETTINGS).write_text("unsaved work")
    try:
        ended_well, message = outcome(commit=bad)
        assert (here.root / SETTINGS).read_text() == "unsaved work"
    finally:
        here.git("checkout", "--", SETTINGS)
    assert ended_well, message
    assert (retention_days(), len(state_versions())) == (CODE_DAYS, count)
    assert f"git revert --no-edit {bad}" in report()
    assert f"not part of this: {SETTINGS}" in report()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"commit": "0123456789"}, "no commit 0123456789"),
        ({}, "expected exactly one of them"),
        ({"commit": "0123456789", "restore_state_version": "list"}, "expected exactly one of them"),
        ({"commit": "HEAD"}, "pattern"),
    ],
)
def test_an_impossible_wish_is_refused_by_name(here: Repository, parameters: dict[str, str], message: str) -> None:
    ended_well, said = outcome(**parameters)
    assert not ended_well
    assert message in said


def test_a_commit_that_leaves_terraform_alone_or_cannot_be_taken_back_changes_nothing(here: Repository) -> None:
    head, count = here.git("rev-parse", "HEAD"), len(state_versions())
    try:
        elsewhere = here.commit("only the readme", {"README.md": "new\n"})
        assert "changes README.md, expected something below terraform/" in outcome(commit=elsewhere)[1]
        here.commit("on top", {SETTINGS: (here.root / SETTINGS).read_text().replace(f"= {CHANGED_DAYS}", "= 60")})
        assert f"({SETTINGS})" in outcome(commit=head)[1]
    finally:
        here.git("reset", "--quiet", "--hard", head)
    assert (retention_days(), len(state_versions())) == (CODE_DAYS, count)


def test_a_sound_state_is_listed_and_not_replaced(built: dict[str, Any]) -> None:
    versions = state_versions()
    assert outcome(restore_state_version="list") == (True, "")
    assert all(version["VersionId"] in report() for version in versions)
    ended_well, message = outcome(restore_state_version=versions[-1]["VersionId"])
    assert not ended_well
    assert "can be read and is of the same lineage" in message
    assert state_versions() == versions


def test_killed_half_way_a_corrupt_state_comes_back_and_leaves_nothing_to_plan(
    clone: Repository, environment: dict[str, str]
) -> None:
    s3, good = aws.client("s3"), current_state()
    version = state_versions()[0]["VersionId"]
    corrupt = s3.put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps(good, indent=2).encode()[:5000])["VersionId"]
    wanted = {"environment": "dev", "restore_state_version": version}
    ends = [killing.run(point, ROLLBACK, wanted, environment, ROOT) for point in ("before:push_state", "never")]
    assert ends == [killing.KILLED, 0]
    restored = current_state()
    assert (restored["lineage"], restored["resources"]) == (good["lineage"], good["resources"])
    assert restored["serial"] > good["serial"]
    assert corrupt in {version["VersionId"] for version in state_versions()}
    assert "nothing to change" in report()


def test_a_deleted_state_comes_back_with_its_lineage(built: dict[str, Any]) -> None:
    good, version = current_state(), state_versions()[0]["VersionId"]
    aws.client("s3").delete_object(Bucket=BUCKET, Key=KEY)
    assert outcome(restore_state_version=version, dry_run=True)[0]
    assert version not in {v["VersionId"] for v in state_versions() if v["IsLatest"]}
    ended_well, message = outcome(restore_state_version=version)
    assert ended_well, message
    assert (current_state()["lineage"], current_state()["resources"]) == (good["lineage"], good["resources"])
    assert current_state()["serial"] > good["serial"]
    assert "nothing to change" in report()
