"""The work pool on ECS: prefect-aws makes of our job template what AWS's own model of ECS accepts."""

import asyncio
import json
import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import botocore.session
import hcl2
import pytest
import yaml
from botocore.validate import ParamValidator
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.server.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, temporary_settings
from prefect.utilities.schema_tools.validation import validate
from prefect_aws.workers.ecs_worker import ECSJobConfiguration, ECSWorker

from deployments import __main__ as make_deploy
from deployments import ecs, server

ROOT = Path(__file__).parents[1]
ENTRIES = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
SECRET = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:demo-flask-app-runbook-prefect-AbCdEf"
WORKER = ecs.Worker(
    region="eu-north-1",
    cluster_arn="arn:aws:ecs:eu-north-1:123456789012:cluster/demo-flask-app-runbook",
    family="demo-flask-app-runbook-run",
    image=f"123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app-runbook@sha256:{'0' * 64}",
    cpu=1024,
    memory=4096,
    execution_role_arn="arn:aws:iam::123456789012:role/demo-flask-app-runbook-execution",
    task_role_arn="arn:aws:iam::123456789012:role/demo-flask-app-runbook-run",
    log_group_name="/ecs/demo-flask-app-runbook",
    subnet_ids=["subnet-1", "subnet-2"],
    security_group_id="sg-1",
    prefect_login="PREFECT_API_AUTH_STRING",
    secret_arn=SECRET,
)
DEFINITION = "arn:aws:ecs:eu-north-1:123456789012:task-definition/demo-flask-app-runbook-run:1"


def rendered(worker: ecs.Worker = WORKER) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a worker would ask ECS for: the task definition it registers, and the task it runs."""
    variables = ENTRIES[0]["work_pool"]["job_variables"]
    nobody = PrefectClient("http://127.0.0.1:9/api")  # the template names no block, so nobody is asked
    configuration = asyncio.run(
        ECSJobConfiguration.from_template_and_values(ecs.job_template(worker), variables, client=nobody)
    )
    run = FlowRun(flow_id=uuid4(), deployment_id=uuid4(), name="quiet-otter")
    login = {PREFECT_API_AUTH_STRING: "user:hunter2", PREFECT_API_KEY: "hunter2"}
    with temporary_settings({PREFECT_API_URL: "https://prefect.example.com/api", **login}):
        configuration.prepare_for_flow_run(run)
    prefect = ECSWorker(work_pool_name=server.WORK_POOL)
    definition = prefect._prepare_task_definition(configuration, worker.region, run)
    return definition, prefect._prepare_task_run_request(configuration, definition, DEFINITION, True)


def test_terraform_writes_what_the_template_is_made_of() -> None:
    code = hcl2.loads((ROOT / "terraform/modules/worker/outputs.tf").read_text())
    (output,) = code["output"]
    ((_, body),) = ((name, body) for name, body in output.items() if name.strip('"') == ecs.PARAMETER)
    written = {key.strip('"') for key in body["value"] if not key.startswith("__")}
    assert written == {field.name for field in fields(ecs.Worker)}


def test_prefect_s_server_takes_the_template_and_each_deployment_s_variables() -> None:
    template = ecs.job_template(WORKER)
    WorkPoolCreate(name=server.WORK_POOL, type=ecs.TYPE, base_job_template=template)
    for entry in ENTRIES:
        validate(entry["work_pool"]["job_variables"], template["variables"], raise_on_error=True, ignore_required=True)


def test_a_run_s_task_definition_names_image_roles_and_logs() -> None:
    definition, _ = rendered()
    (container,) = definition["containerDefinitions"]
    assert container["image"] == WORKER.image
    assert definition["family"] == WORKER.family
    assert definition["executionRoleArn"] == WORKER.execution_role_arn
    assert (definition["cpu"], definition["memory"], definition["networkMode"]) == ("1024", "4096", "awsvpc")
    assert container["environment"] == [{"name": "AWS_DEFAULT_REGION", "value": "eu-north-1"}]
    assert container["logConfiguration"] == {
        "logDriver": "awslogs",
        "options": {
            "awslogs-create-group": "false",
            "awslogs-group": WORKER.log_group_name,
            "awslogs-region": "eu-north-1",
            "awslogs-stream-prefix": "run",
        },
    }


def test_a_run_is_a_task_in_the_cluster_with_the_runs_role_and_no_public_address() -> None:
    _, request = rendered()
    assert request["cluster"] == WORKER.cluster_arn
    assert request["launchType"] == "FARGATE"
    assert request["overrides"]["taskRoleArn"] == WORKER.task_role_arn
    assert request["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroups": ["sg-1"],
        "assignPublicIp": "DISABLED",
    }
    (container,) = request["overrides"]["containerOverrides"]
    environment = {one["name"]: one["value"] for one in container["environment"]}
    assert container["command"] == ["prefect", "flow-run", "execute"]
    assert environment["PREFECT_API_URL"] == "https://prefect.example.com/api"
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"


@pytest.mark.parametrize("login", ["PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"])
def test_a_run_s_login_is_a_reference_to_the_secret(login: str) -> None:
    definition, request = rendered(replace(WORKER, prefect_login=login))
    assert definition["containerDefinitions"][0]["secrets"] == [{"name": login, "valueFrom": SECRET}]
    environment = request["overrides"]["containerOverrides"][0]["environment"]
    assert login not in {one["name"] for one in environment}


def test_all_runs_of_all_deployments_have_one_task_definition() -> None:
    """Else each restart of the worker would register one more for each deployment."""
    (first, _), (second, _) = rendered(), rendered()
    assert first == second
    assert ecs.job_template(WORKER)["variables"]["properties"]["match_latest_revision_in_family"]["default"] is True


def test_the_worker_s_policy_fits_what_it_will_ask_for() -> None:
    _, request = rendered()
    assert request["taskDefinition"].rpartition(":")[0].endswith(f"/{WORKER.family}")
    assert request["tags"], "tagging at the start is what ecs:TagResource is for"
    code = (ROOT / "terraform/modules/worker/iam.tf").read_text()
    assert re.search(r'family\s+= "\$\{var\.name\}-run"', code)


@pytest.mark.parametrize(("operation", "index"), [("RegisterTaskDefinition", 0), ("RunTask", 1)])
def test_aws_s_model_of_ecs_accepts_both_requests(operation: str, index: int) -> None:
    shape = botocore.session.get_session().get_service_model("ecs").operation_model(operation).input_shape
    assert ParamValidator().validate(rendered()[index], shape).generate_report() == ""


def test_in_a_container_the_code_is_found_where_the_image_has_it() -> None:
    assert f"WORKDIR {ecs.CODE}\n" in (ROOT / "Dockerfile").read_text()
    with make_deploy.index(WORKER) as file:
        found = yaml.safe_load(file.read_text())
    assert found["pull"] == [{"prefect.deployments.steps.set_working_directory": {"directory": ecs.CODE}}]
    assert found["deployments"] == ENTRIES
    with make_deploy.index(None) as file:
        assert file == ROOT / "prefect.yaml"


def test_terraform_s_worker_is_found_and_without_one_runs_are_processes(account: dict[str, Any], client: Any) -> None:
    assert make_deploy.find_worker() is None
    name = "/demo-flask-app/shared/work_pool"
    client("ssm").put_parameter(Name=name, Value=json.dumps(asdict(WORKER)), Type="String")
    assert make_deploy.find_worker() == WORKER


def test_the_pool_is_made_once_follows_terraform_and_is_never_made_over(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WORK_POOL", "runbook-on-ecs")  # the session's server has a pool of the other name
    with get_client(sync_client=True) as client:
        server.ensure_work_pool(client, WORKER)
        made = client.read_work_pool("runbook-on-ecs")
        assert (made.type, made.base_job_template) == ("ecs", ecs.job_template(WORKER))
        server.ensure_work_pool(client, WORKER)
        assert client.read_work_pool("runbook-on-ecs").updated == made.updated
        newer = replace(WORKER, image=WORKER.image.replace("0" * 64, "1" * 64))
        server.ensure_work_pool(client, newer)
        followed = client.read_work_pool("runbook-on-ecs")
        assert (followed.id, followed.base_job_template) == (made.id, ecs.job_template(newer))
        with pytest.raises(server.OtherPool, match="is of type ecs, expected process"):
            server.ensure_work_pool(client)
        assert client.read_work_pool("runbook-on-ecs").base_job_template == followed.base_job_template
        client.delete_work_pool("runbook-on-ecs")
