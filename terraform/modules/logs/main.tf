resource "aws_cloudwatch_log_group" "main" {
  name              = "/aws/ec2/${var.name}"
  retention_in_days = var.retention_days
}

resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "${var.name}-errors"
  log_group_name = aws_cloudwatch_log_group.main.name
  pattern        = "{ $.level = \"ERROR\" }"

  metric_transformation {
    namespace     = var.name
    name          = "ErrorCount"
    value         = "1"
    default_value = "0"
  }
}
