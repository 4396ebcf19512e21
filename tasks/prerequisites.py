"""What an operator needs before anything else works (P01): tools, an identity, and each permission."""

import shutil
import sys
from collections.abc import Callable

from botocore.exceptions import ClientError

from tasks import aws, terraform
from tasks.errors import PreconditionFailed
from tasks.finding import Attention, Finding, judge
from tasks.kinds import probe
from tasks.state_backend import bucket_exists

OLDEST_PYTHON = (3, 11)
# One action per service and kind that the flows call; the runbook's list, in IAM's words.
PERMISSIONS = (
    "autoscaling:StartInstanceRefresh",
    "autoscaling:RollbackInstanceRefresh",
    "ce:GetAnomalies",
    "ce:GetAnomalyMonitors",
    "ce:GetCostAndUsage",
    "ce:GetCostForecast",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "compute-optimizer:GetAutoScalingGroupRecommendations",
    "compute-optimizer:GetEBSVolumeRecommendations",
    "compute-optimizer:GetEC2InstanceRecommendations",
    "compute-optimizer:GetEnrollmentStatus",
    "compute-optimizer:GetRDSDatabaseRecommendations",
    "cost-optimization-hub:ListEnrollmentStatuses",
    "cost-optimization-hub:ListRecommendations",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:DescribeAddresses",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeNatGateways",
    "ec2:DescribeSnapshots",
    "ec2:DescribeVolumes",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetLifecyclePolicy",
    "ecr:ListTagsForResource",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetHealth",
    "logs:DescribeLogGroups",
    "logs:FilterLogEvents",
    "pricing:GetProducts",
    "rds:CreateDBSnapshot",
    "rds:DescribeDBInstanceAutomatedBackups",
    "rds:DescribeDBInstances",
    "rds:DescribeDBSnapshots",
    "rds:ModifyDBInstance",
    "rds:StartDBInstanceAutomatedBackupsReplication",
    "secretsmanager:GetSecretValue",
    "ssm:DescribeInstancePatchStates",
    "ssm:GetParameterHistory",
    "ssm:GetParametersByPath",
    "ssm:SendCommand",
    "ssm:StartSession",
)


@probe
def check_prerequisite(name: str) -> Finding:
    return judge(name, PREREQUISITES[name])


def _python() -> str:
    if sys.version_info < OLDEST_PYTHON:
        raise PreconditionFailed(f"this is Python {sys.version.split()[0]}, expected 3.11 or newer: make setup")
    return sys.version.split()[0]


def _docker() -> str:
    found = shutil.which("docker")
    if not found:
        raise Attention("no docker on the PATH: only building images on this machine needs it")
    return found


def _identity() -> str:
    arn: str = aws.client("sts").get_caller_identity()["Arn"]
    if arn.endswith(":root"):
        raise Attention(f"{arn}: use a role or a user with MFA, never the account's root")
    return arn


def _backend() -> str:
    bucket = terraform.state_bucket()
    if not bucket_exists(bucket):
        raise PreconditionFailed(f"no bucket {bucket}, expected one: python -m flows.set_up_account")
    return bucket


def _permissions() -> str:
    identity = aws.client("sts").get_caller_identity()["Arn"]
    try:
        found = aws.client("iam").simulate_principal_policy(PolicySourceArn=identity, ActionNames=list(PERMISSIONS))
    except ClientError as error:
        raise Attention(f"IAM would not simulate {identity}'s policies, so they are unknown: {error}") from error
    denied = [r["EvalActionName"] for r in found["EvaluationResults"] if r["EvalDecision"] != "allowed"]
    if denied:
        raise PreconditionFailed(f"{identity} may not {', '.join(denied)}: ask for these permissions")
    return f"{identity} may do all of {len(PERMISSIONS)} actions asked for"


PREREQUISITES: dict[str, Callable[[], str]] = {
    "python": _python,
    "terraform": terraform.require_terraform.fn,
    "docker": _docker,
    "identity": _identity,
    "state backend": _backend,
    "permissions": _permissions,
}
