"""Runs as ECS tasks, where Terraform built a worker for them: the job template, from what Terraform wrote."""

import json
from dataclasses import dataclass
from typing import Any

from prefect_aws.workers.ecs_worker import ECSWorker

from tasks.environment import find_parameter

TYPE = ECSWorker.type
CODE = "/srv"  # where the Dockerfile's target worker has the repository's code
SHARED = "shared"
PARAMETER = "work_pool"  # the output of environments/shared, mirrored in SSM


@dataclass(frozen=True)
class Worker:
    """Each field is one of the Terraform output `work_pool` of module worker; a test compares the two."""

    region: str
    cluster_arn: str
    family: str
    image: str
    cpu: int
    memory: int
    execution_role_arn: str
    task_role_arn: str
    log_group_name: str
    subnet_ids: list[str]
    security_group_id: str
    prefect_login: str
    secret_arn: str


def find_worker() -> Worker | None:
    found = find_parameter(SHARED, PARAMETER)
    return Worker(**json.loads(found)) if found else None


def job_template(worker: Worker) -> dict[str, Any]:
    """prefect-aws's own template with our defaults; what it has no variable for stands in it as it is."""
    template = ECSWorker.get_default_base_job_template()
    for name, value in _defaults(worker).items():
        template["variables"]["properties"][name]["default"] = value
    job = template["job_configuration"]
    job["task_definition"]["containerDefinitions"][0]["environment"] = [
        {"name": "AWS_DEFAULT_REGION", "value": worker.region}
    ]
    # Not as the variable `network_configuration`: for that the worker would have to look subnets up in EC2.
    job["task_run_request"]["networkConfiguration"] = {
        "awsvpcConfiguration": {
            "subnets": worker.subnet_ids,
            "securityGroups": [worker.security_group_id],
            "assignPublicIp": "DISABLED",
        }
    }
    return template


def _defaults(worker: Worker) -> dict[str, Any]:
    return {
        "cluster": worker.cluster_arn,
        # One family for all deployments, and a new revision only when something of it changed.
        "family": worker.family,
        "match_latest_revision_in_family": True,
        "image": worker.image,
        "cpu": worker.cpu,
        "memory": worker.memory,
        "execution_role_arn": worker.execution_role_arn,
        "task_role_arn": worker.task_role_arn,
        "configure_cloudwatch_logs": True,
        "cloudwatch_logs_prefix": "run",
        "cloudwatch_logs_options": {"awslogs-group": worker.log_group_name, "awslogs-create-group": "false"},
        f"{worker.prefect_login.lower()}_secret_arn": worker.secret_arn,
    }
