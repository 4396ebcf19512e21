"""What the procedures may have to do on AWS, in IAM's words; a test keeps it equal to what the code calls.

What Terraform does beside it is as much as it builds, and is not in this list.
"""

from collections.abc import Iterator, Mapping

from tasks.change_lock import LOCK_TABLE
from tasks.environment import PROJECT

# `iam:PassRole` and `ec2:CreateTags` are part of other calls; `ssm:StartSession` is for people.
EVERYDAY: Mapping[str, str] = {
    "acm": "DescribeCertificate GetCertificate ListCertificates",
    "autoscaling": (
        "DescribeAutoScalingGroups DescribeInstanceRefreshes DescribePolicies DescribeScalingActivities "
        "RollbackInstanceRefresh StartInstanceRefresh UpdateAutoScalingGroup"
    ),
    "ce": "GetAnomalies GetAnomalyMonitors GetCostAndUsage GetCostForecast",
    "cloudtrail": "LookupEvents",
    "cloudwatch": (
        "DeleteAlarmMuteRule DescribeAlarmHistory DescribeAlarms GetAlarmMuteRule GetDashboard GetMetricData "
        "ListAlarmMuteRules ListTagsForResource PutAlarmMuteRule"
    ),
    "compute-optimizer": (
        "GetAutoScalingGroupRecommendations GetEBSVolumeRecommendations GetEC2InstanceRecommendations "
        "GetEnrollmentStatus GetRDSDatabaseRecommendations"
    ),
    "cost-optimization-hub": "ListEnrollmentStatuses ListRecommendations",
    "dynamodb": "DeleteItem DescribeTable GetItem PutItem UpdateItem",
    "ec2": (
        "CreateLaunchTemplateVersion CreateNetworkAcl CreateTags DeleteLaunchTemplateVersions "
        "DeleteNetworkAcl DeleteSecurityGroup DescribeAddresses DescribeImages DescribeInstanceAttribute "
        "DescribeInstances DescribeInternetGateways DescribeLaunchTemplateVersions DescribeLaunchTemplates "
        "DescribeNatGateways DescribeNetworkAcls DescribeRouteTables DescribeSecurityGroups DescribeSnapshots "
        "DescribeSubnets DescribeTags DescribeVolumes DescribeVpcEndpoints DescribeVpcs "
        "ReplaceNetworkAclAssociation RunInstances TerminateInstances"
    ),
    "ecr": (
        "BatchDeleteImage BatchGetImage CompleteLayerUpload DescribeImageScanFindings DescribeImages "
        "DescribeRepositories GetDownloadUrlForLayer GetLifecyclePolicy InitiateLayerUpload "
        "ListTagsForResource PutImage UploadLayerPart"
    ),
    "elasticloadbalancing": (
        "DescribeListeners DescribeLoadBalancers DescribeTags DescribeTargetGroups DescribeTargetHealth"
    ),
    "iam": "GetInstanceProfile GetRole GetRolePolicy ListAttachedRolePolicies PassRole SimulatePrincipalPolicy",
    "kms": "CancelKeyDeletion DescribeKey EnableKey ListAliases",
    "logs": "DescribeLogGroups DescribeMetricFilters FilterLogEvents",
    "pricing": "GetProducts",
    "rds": (
        "AddTagsToResource CancelExportTask CreateDBSnapshot DeleteDBInstance DeleteDBSnapshot "
        "DescribeDBInstanceAutomatedBackups DescribeDBInstances DescribeDBParameterGroups DescribeDBSnapshots "
        "DescribeDBSubnetGroups DescribeEvents DescribeExportTasks ListTagsForResource ModifyDBInstance "
        "RebootDBInstance RemoveTagsFromResource RestoreDBInstanceFromDBSnapshot "
        "RestoreDBInstanceToPointInTime StartDBInstanceAutomatedBackupsReplication StartExportTask"
    ),
    "s3": (
        "DeleteObject GetBucketPolicy GetBucketPublicAccessBlock GetBucketVersioning "
        "GetEncryptionConfiguration GetLifecycleConfiguration GetObject ListBucket ListBucketVersions "
        "PutObject"
    ),
    "secretsmanager": (
        "CreateSecret DeleteSecret DescribeSecret GetRandomPassword GetSecretValue ListSecrets PutSecretValue "
        "RestoreSecret"
    ),
    "sns": "ListSubscriptionsByTopic ListTopics",
    "ssm": (
        "DeleteParameter DescribeInstanceInformation DescribeInstancePatchStates DescribeInstancePatches "
        "GetCommandInvocation GetParameter GetParameterHistory GetParametersByPath ListCommandInvocations "
        "ListCommands PutParameter SendCommand StartSession"
    ),
    "sts": "GetCallerIdentity",
    "tag": "GetResources",
}
# Only set_up_account, set_up_certificate and set_up_github ask for these.
SET_UP: Mapping[str, str] = {
    "acm": "ImportCertificate RequestCertificate",
    "dynamodb": "CreateTable",
    "iam": (
        "AddClientIDToOpenIDConnectProvider AttachRolePolicy CreateOpenIDConnectProvider CreateRole "
        "DetachRolePolicy GetOpenIDConnectProvider ListOpenIDConnectProviders PutRolePolicy "
        "UpdateAssumeRolePolicy"
    ),
    "s3": (
        "CreateBucket PutBucketPublicAccessBlock PutBucketVersioning PutEncryptionConfiguration "
        "PutLifecycleConfiguration"
    ),
}

# Whose policies name what they are about; a policy for these alone does not allow them on everything.
RESOURCES = {
    "dynamodb": f"arn:aws:dynamodb:{{region}}:{{account}}:table/{LOCK_TABLE}",
    "iam": f"arn:aws:iam::{{account}}:role/{PROJECT}-x",
    "s3": f"arn:aws:s3:::{PROJECT}-x",
    "secretsmanager": f"arn:aws:secretsmanager:{{region}}:{{account}}:secret:{PROJECT}-x",
}
OIDC_PROVIDER = "arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com"
OF_NO_RESOURCE = {
    "iam:ListOpenIDConnectProviders",
    "secretsmanager:GetRandomPassword",
    "secretsmanager:ListSecrets",
}


def actions(table: Mapping[str, str]) -> Iterator[str]:
    for service, names in table.items():
        yield from (f"{service}:{name}" for name in names.split())


def resource_of(action: str, account: str, region: str) -> str:
    """One that stands for all that the project has of its kind."""
    service, _, name = action.partition(":")
    if action in OF_NO_RESOURCE:
        return "*"
    if name.endswith("OpenIDConnectProvider"):
        return OIDC_PROVIDER.format(account=account)
    found = RESOURCES.get(service, "*").format(account=account, region=region)
    return f"{found}/x" if service == "s3" and name.endswith("Object") else found
