data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["export.rds.amazonaws.com"]
    }
  }
}

# What RDS documents that its exports need, and only where exports are written.
data "aws_iam_policy_document" "export" {
  statement {
    sid       = "FindBucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [aws_s3_bucket.main.arn]
  }

  statement {
    sid       = "WriteExports"
    actions   = ["s3:DeleteObject*", "s3:GetObject*", "s3:PutObject*"]
    resources = ["${aws_s3_bucket.main.arn}/exports/*"]
  }

  statement {
    sid = "UseKey"
    actions = [
      "kms:CreateGrant",
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
      "kms:GenerateDataKey*",
      "kms:ReEncrypt*",
      "kms:RetireGrant",
    ]
    resources = [aws_kms_key.main.arn]
  }
}

resource "aws_iam_role" "export" {
  name               = "${var.name}-rds-s3-export"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "export" {
  name   = "export"
  role   = aws_iam_role.export.name
  policy = data.aws_iam_policy_document.export.json
}
