# What the procedures may do. They build and rebuild whole environments, so this is much: it is bounded by service and,
# where data or rights lie, by name. A test keeps it equal to what the code calls: tests/terraform/test_worker.py.

locals {
  operated = [
    "acm:*", "autoscaling:*", "cloudwatch:*", "ec2:*", "ecr:*", "elasticloadbalancing:*", "kms:*", "logs:*", "rds:*",
    "sns:*", "ssm:*",
  ]
  looked_at = [
    "ce:Get*", "cloudtrail:LookupEvents", "compute-optimizer:Get*", "cost-optimization-hub:List*", "pricing:GetProducts",
    "tag:GetResources",
  ]
  named = {
    dynamodb       = [format(local.arn, "dynamodb", "table/terraform-state-lock-${var.project_name}")]
    s3             = ["arn:aws:s3:::${var.project_name}-*", "arn:aws:s3:::terraform-state-${var.project_name}-*"]
    secretsmanager = [format(local.arn, "secretsmanager", "secret:${var.project_name}-*")]
    iam = [
      "arn:aws:iam::${local.account}:role/${var.project_name}-*",
      "arn:aws:iam::${local.account}:instance-profile/${var.project_name}-*",
      "arn:aws:iam::${local.account}:oidc-provider/*",
    ]
  }
  # These know no resource, or begin before there is one.
  found = [
    "iam:CreateServiceLinkedRole", "iam:Get*", "iam:List*", "iam:SimulatePrincipalPolicy",
    "s3:ListAllMyBuckets", "secretsmanager:ListSecrets", "sts:GetCallerIdentity",
  ]
  # With the worker's three roles a run would be anything.
  kept_from_runs = [
    "iam:Add*", "iam:Attach*", "iam:Create*", "iam:Delete*", "iam:Detach*", "iam:PassRole", "iam:Put*", "iam:Remove*",
    "iam:Tag*", "iam:Untag*", "iam:Update*",
  ]
}

data "aws_iam_policy_document" "run" {
  statement {
    sid       = "OperateLookAndFind"
    actions   = concat(local.operated, local.looked_at, local.found)
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = local.named
    content {
      sid       = "Own${title(statement.key)}"
      actions   = ["${statement.key}:*"]
      resources = statement.value
    }
  }

  statement {
    sid       = "NeverTheWorkersRoles"
    effect    = "Deny"
    actions   = local.kept_from_runs
    resources = ["arn:aws:iam::${local.account}:role/${var.name}-*"]
  }
}
