output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.main.dashboard_name
}

output "dashboard_url" {
  description = "The dashboard in the console."
  value = join("", [
    "https://${data.aws_region.current.name}.console.aws.amazon.com/cloudwatch/home",
    "?region=${data.aws_region.current.name}#dashboards:name=${aws_cloudwatch_dashboard.main.dashboard_name}",
  ])
}

output "topic_arns" {
  description = "SNS topics by severity."
  value       = { for severity, topic in aws_sns_topic.main : severity => topic.arn }
}

output "alarm_names" {
  description = "Alarms by severity."
  value = { for severity in ["critical", "warning"] : severity => [
    for key, alarm in local.alarms : aws_cloudwatch_metric_alarm.main[key].alarm_name if alarm.severity == severity
  ] }
}
