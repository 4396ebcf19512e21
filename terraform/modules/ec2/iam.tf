locals {
  # arn:<partition>:secretsmanager:<region>:<account>:secret
  secrets = join(":", slice(split(":", var.db_secret_arn), 0, 6))
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "main" {
  statement {
    sid       = "ReadDatabaseSecret"
    actions   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    resources = [var.db_secret_arn]
  }

  # A verification of a backup starts one instance whose application reads the restored copy's secret instead.
  statement {
    sid       = "ReadRestoredDatabaseSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["${local.secrets}:${var.name}-verify-*"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${var.log_group.arn}:*"]
  }

  statement {
    sid       = "PullImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.repository_arn]
  }

  # This action knows no resource.
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "main" {
  name               = "${var.name}-ec2"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "main" {
  name   = "application"
  role   = aws_iam_role.main.name
  policy = data.aws_iam_policy_document.main.json
}

resource "aws_iam_role_policy_attachment" "managed" {
  for_each   = toset(["AmazonSSMManagedInstanceCore", "CloudWatchAgentServerPolicy"])
  role       = aws_iam_role.main.name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}

resource "aws_iam_instance_profile" "main" {
  name = "${var.name}-ec2"
  role = aws_iam_role.main.name
}
