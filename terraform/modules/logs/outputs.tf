output "log_group" {
  description = "The application's log group: name and ARN."
  value       = { name = aws_cloudwatch_log_group.main.name, arn = aws_cloudwatch_log_group.main.arn }
}

output "error_metric" {
  description = "Metric that counts log lines of level ERROR."
  value       = { namespace = var.name, name = "ErrorCount" }
}
