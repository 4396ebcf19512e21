data "aws_caller_identity" "current" {}

# Not encrypted with aws/sns: CloudWatch may not use that key, its alarms would be lost without a word.
resource "aws_sns_topic" "main" {
  for_each = toset(["critical", "warning"])
  name     = "${var.name}-alerts-${each.key}"
}

resource "aws_sns_topic_subscription" "email" {
  for_each  = aws_sns_topic.main
  topic_arn = each.value.arn
  protocol  = "email"
  endpoint  = var.alert_email
}

data "aws_iam_policy_document" "publish" {
  for_each = aws_sns_topic.main

  statement {
    sid       = "CloudWatchOfThisAccountOnly"
    actions   = ["sns:Publish"]
    resources = [each.value.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "AWS:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "main" {
  for_each = aws_sns_topic.main
  arn      = each.value.arn
  policy   = data.aws_iam_policy_document.publish[each.key].json
}
