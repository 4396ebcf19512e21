"""Code, state and cloud agree behind every change that does not go through Terraform: a plan has nothing to do."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flows.deploy_application import deploy_application
from flows.deploy_infrastructure import deploy_infrastructure
from flows.patch_instances import patch_instances
from flows.rollback_application import rollback_application
from tasks import aws
from tasks.environment import PROJECT
from tests.stack import LIGHT, push_release

pytestmark = pytest.mark.lab


@pytest.fixture
def releases(built: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Release 2.0.0 beside the one that runs; afterwards that one runs again, on the newest machine image."""
    yield {"1.0.0": built["image"], "2.0.0": push_release(aws.client("ecr"), LIGHT, "2.0.0").partition("@")[2]}


def served() -> str:
    url = aws.client("ssm").get_parameter(Name=f"/{PROJECT}/dev/alb_url")["Parameter"]["Value"]
    return str(httpx.get(f"{url}/health", verify=False).json()["version"])


def test_after_a_patch_a_deployment_and_its_rollback_terraform_has_nothing_to_do(
    built: dict[str, Any], releases: dict[str, str]
) -> None:
    endpoint = built["env"]["AWS_ENDPOINT_URL"]
    newest = httpx.post(f"{endpoint}/lab/amis", json={"fixes": ["CVE-2026-0001"]}).raise_for_status().json()["ImageId"]
    patched = patch_instances(  # type: ignore[call-overload]
        "dev", canary_minutes=1, bake_minutes=0, outside_window_because="a test", return_state=True
    )
    assert patched.is_completed()
    for version in ("1.0.0", "2.0.0"):
        assert deploy_application("dev", releases[version], bake_minutes=0, return_state=True).is_completed()  # type: ignore[call-overload]
    assert served() == "2.0.0"
    assert rollback_application("dev", return_state=True).is_completed()  # type: ignore[call-overload]
    assert served() == "1.0.0"
    plan = deploy_infrastructure("dev", dry_run=True, return_state=True)  # type: ignore[call-overload]
    assert plan.is_completed()
    template = aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateName=f"{PROJECT}-dev-lt", Versions=["$Latest"]
    )["LaunchTemplateVersions"][0]
    assert template["LaunchTemplateData"]["ImageId"] == newest
