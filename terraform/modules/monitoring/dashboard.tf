data "aws_region" "current" {}

locals {
  # One graph each; the metrics as CloudWatch writes them.
  widgets = [
    { title = "ALB: response time (s)", metrics = [
      for stat in ["p50", "p95", "p99"] :
      ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.alb_arn_suffix, { stat = stat, label = stat }]
    ] },
    { title = "ALB: answers", metrics = [
      for metric in ["HTTPCode_Target_2XX_Count", "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] :
      ["AWS/ApplicationELB", metric, "LoadBalancer", var.alb_arn_suffix, { stat = "Sum" }]
    ] },
    { title = "ALB: hosts", metrics = [
      for metric in ["HealthyHostCount", "UnHealthyHostCount"] :
      ["AWS/ApplicationELB", metric, "TargetGroup", var.target_group_arn_suffix, "LoadBalancer", var.alb_arn_suffix, { stat = "Maximum" }]
    ] },
    { title = "ALB: connections", metrics = [
      ["AWS/ApplicationELB", "ActiveConnectionCount", "LoadBalancer", var.alb_arn_suffix, { stat = "Sum" }]
    ] },
    { title = "ASG: capacity", metrics = [
      for metric in ["GroupDesiredCapacity", "GroupInServiceInstances", "GroupMinSize", "GroupMaxSize"] :
      ["AWS/AutoScaling", metric, "AutoScalingGroupName", var.asg_name, { stat = "Average" }]
    ] },
    { title = "EC2: CPU and memory (%)", metrics = [
      ["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", var.asg_name, { stat = "Average" }],
      ["CWAgent", "mem_used_percent", "AutoScalingGroupName", var.asg_name, { stat = "Average" }]
    ] },
    { title = "EC2: network (bytes)", metrics = [
      for metric in ["NetworkIn", "NetworkOut"] :
      ["AWS/EC2", metric, "AutoScalingGroupName", var.asg_name, { stat = "Sum" }]
    ] },
    { title = "EC2: failed status checks", metrics = [
      ["AWS/EC2", "StatusCheckFailed", "AutoScalingGroupName", var.asg_name, { stat = "Maximum" }]
    ] },
    { title = "RDS: CPU (%)", metrics = [
      ["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", var.db_identifier, { stat = "Average" }]
    ] },
    { title = "RDS: connections", metrics = [
      ["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", var.db_identifier, { stat = "Maximum" }]
    ] },
    { title = "RDS: free storage (bytes)", metrics = [
      ["AWS/RDS", "FreeStorageSpace", "DBInstanceIdentifier", var.db_identifier, { stat = "Minimum" }]
    ] },
    { title = "RDS: latency and replica lag (s)", metrics = [
      for metric in ["ReadLatency", "WriteLatency", "ReplicaLag"] :
      ["AWS/RDS", metric, "DBInstanceIdentifier", var.db_identifier, { stat = "Average" }]
    ] },
    { title = "Application: errors logged", metrics = [
      [var.error_metric.namespace, var.error_metric.name, { stat = "Sum" }]
    ] },
  ]
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = "${var.name}-dashboard"
  dashboard_body = jsonencode({
    widgets = [for i, widget in local.widgets : {
      type   = "metric"
      width  = 12
      height = 6
      x      = i % 2 * 12
      y      = floor(i / 2) * 6
      properties = {
        title   = widget.title
        metrics = widget.metrics
        region  = data.aws_region.current.name
        view    = "timeSeries"
        period  = 60
      }
    }]
  })
}
