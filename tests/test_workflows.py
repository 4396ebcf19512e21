"""What the workflows may not do, and the exact list of what of them cannot be run here."""

import re

import pytest
import yaml

from tests.workflows import ROOT, WORKFLOWS, Step, list_steps

STEPS = list_steps()
SCRIPTS = [step for step in STEPS if "run" in step.content]
# Every script runs in tests/flows/test_from_ci.py but these.
LEFT_OUT = {
    "actions/runbook/Install what requirements.lock says": "it is how the Python that runs this test came to be",
    "actions/runbook/Find it by the names python and aws": "only a runner reads GITHUB_PATH; the test sets PATH",
}
# Commands that the scripts call and that are stand-ins there.
STAND_INS = {"docker": "there is no daemon here; its push reaches the lab's registry"}
# What is not ours and needs GitHub, or an account, to do anything.
ACTIONS = {
    "actions/checkout": "a runner begins empty",
    "actions/setup-python": "a runner has no Python of ours",
    "aquasecurity/trivy-action": "the vulnerability database comes from the internet",
    "aws-actions/configure-aws-credentials": "OIDC needs GitHub's token service",
    "github/codeql-action/upload-sarif": "the Security tab is GitHub's",
    "hashicorp/setup-terraform": "Terraform is on the PATH here",
}


def test_what_is_not_run_here_is_exactly_this() -> None:
    uses = {step.content["uses"].partition("@")[0] for step in STEPS if "uses" in step.content}
    assert {name for name in uses if not name.startswith("./")} == set(ACTIONS)
    assert {step.name for step in SCRIPTS if step.workflow == "actions"} == set(LEFT_OUT)


@pytest.mark.parametrize("step", [s for s in STEPS if "uses" in s.content], ids=lambda step: step.name)
def test_an_action_is_pinned_by_the_commit_behind_its_version(step: Step) -> None:
    used = step.content["uses"]
    assert used.startswith("./.github/") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used)


@pytest.mark.parametrize("step", SCRIPTS, ids=lambda step: step.name)
def test_a_script_is_what_a_person_can_type(step: Step) -> None:
    """No expression in it, and of the runner only the two files that a person may leave out."""
    assert "${{" not in step.content["run"]
    assert set(re.findall(r"GITHUB_\w+", step.content["run"])) <= {
        "GITHUB_OUTPUT",
        "GITHUB_STEP_SUMMARY",
        "GITHUB_PATH",
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_but_those_that_a_job_names_and_holds_no_key_of_aws(path: object) -> None:
    text = (ROOT / ".github" / "workflows" / str(path)).read_text()
    document = yaml.safe_load(text)
    assert document["permissions"] == {}
    assert all("permissions" in job for job in document["jobs"].values())
    assert set(re.findall(r"secrets\.(\w+)", text)) <= {"PREFECT_API_AUTH_STRING"}
    assert "aws-access-key" not in text


def test_prod_is_changed_only_behind_an_environment_of_github_and_by_the_plan_that_was_shown() -> None:
    changing = [
        step for step in SCRIPTS if "deployments.run" in step.content["run"] and "dry_run" not in step.content["run"]
    ]
    assert len(changing) == 2
    for step in changing:
        job = yaml.safe_load((ROOT / ".github" / "workflows" / f"{step.workflow}.yml").read_text())["jobs"][step.job]
        assert job["environment"] == "${{ inputs.environment || 'dev' }}"
        assert '--param "approved_plan=$PLAN"' in step.content["run"]
