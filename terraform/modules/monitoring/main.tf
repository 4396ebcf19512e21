# Missing data:
#   notBreaching  a count or a latency that is only published when something happens: silence is good news
#   breaching     silence is the outage itself
#   missing       silence is neither good nor bad: INSUFFICIENT_DATA, never a false OK
#   ignore        the metric ends with the thing it measures: the alarm stays as it was
locals {
  load_balancer = { LoadBalancer = var.alb_arn_suffix }
  target_group  = { LoadBalancer = var.alb_arn_suffix, TargetGroup = var.target_group_arn_suffix }
  group         = { AutoScalingGroupName = var.asg_name }
  database      = { DBInstanceIdentifier = var.db_identifier }

  critical = {
    unhealthy-hosts = {
      description = "An instance fails its health check for 5 minutes"
      metric      = ["AWS/ApplicationELB", "UnHealthyHostCount", "Maximum"], dimensions = local.target_group
      comparison  = "GreaterThanThreshold", threshold = 0, period = 60, periods = 5, missing = "notBreaching"
    }
    # UnHealthyHostCount and Target_5XX both stay silent when no target is left: the next two see that outage.
    no-healthy-hosts = {
      description = "No instance is healthy"
      metric      = ["AWS/ApplicationELB", "HealthyHostCount", "Maximum"], dimensions = local.target_group
      comparison  = "LessThanThreshold", threshold = 1, period = 60, periods = 2, missing = "breaching"
    }
    high-elb-5xx-errors = {
      description = "The load balancer itself answered more than 50 requests with 5xx in 5 minutes"
      metric      = ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "Sum"], dimensions = local.load_balancer
      comparison  = "GreaterThanThreshold", threshold = 50, period = 300, periods = 1, missing = "notBreaching"
    }
    high-5xx-errors = {
      description = "The application answered more than 50 requests with 5xx in 5 minutes"
      metric      = ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Sum"], dimensions = local.load_balancer
      comparison  = "GreaterThanThreshold", threshold = 50, period = 300, periods = 1, missing = "notBreaching"
    }
    db-cpu-high = {
      description = "The database's CPU is above 90 % for 10 minutes"
      metric      = ["AWS/RDS", "CPUUtilization", "Average"], dimensions = local.database
      comparison  = "GreaterThanThreshold", threshold = 90, period = 300, periods = 2, missing = "missing"
    }
    db-storage-low = {
      description = "The database has less than 10 GiB left"
      metric      = ["AWS/RDS", "FreeStorageSpace", "Minimum"], dimensions = local.database
      comparison  = "LessThanThreshold", threshold = 10 * pow(1024, 3), period = 300, periods = 1, missing = "missing" # bytes
    }
    slow-responses = {
      description = "p95 of the response time is above 1000 ms for 10 minutes"
      metric      = ["AWS/ApplicationELB", "TargetResponseTime", "p95"], dimensions = local.load_balancer
      comparison  = "GreaterThanThreshold", threshold = 1.0, period = 300, periods = 2, missing = "notBreaching" # seconds
    }
  }

  warning = {
    cpu-high = {
      description = "The instances' CPU is above 70 % for 15 minutes"
      metric      = ["AWS/EC2", "CPUUtilization", "Average"], dimensions = local.group
      comparison  = "GreaterThanThreshold", threshold = 70, period = 300, periods = 3, missing = "missing"
    }
    db-connections-high = {
      description = "More than 80 % of the database's ${var.db_max_connections} connections are in use"
      metric      = ["AWS/RDS", "DatabaseConnections", "Maximum"], dimensions = local.database
      comparison  = "GreaterThanThreshold", threshold = floor(var.db_max_connections * 0.8), period = 300, periods = 1, missing = "missing"
    }
    slow-responses-warning = {
      description = "p95 of the response time is above 500 ms for 15 minutes"
      metric      = ["AWS/ApplicationELB", "TargetResponseTime", "p95"], dimensions = local.load_balancer
      comparison  = "GreaterThanThreshold", threshold = 0.5, period = 300, periods = 3, missing = "notBreaching" # seconds
    }
    # ACM renews 60 days ahead: at 30 the renewal has failed.
    cert-expiring = {
      description = "The certificate expires in less than 30 days"
      metric      = ["AWS/CertificateManager", "DaysToExpiry", "Minimum"], dimensions = { CertificateArn = var.ssl_certificate_arn }
      comparison  = "LessThanThreshold", threshold = 30, period = 86400, periods = 1, missing = "ignore" # days
    }
  }

  alarms = merge(
    { for name, alarm in local.critical : name => merge(alarm, { severity = "critical" }) },
    { for name, alarm in local.warning : name => merge(alarm, { severity = "warning" })
    if name != "cert-expiring" || var.ssl_certificate_arn != null },
  )
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "[${each.value.severity}] ${each.value.description}."
  namespace           = each.value.metric[0]
  metric_name         = each.value.metric[1]
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.metric[2], "p") ? null : each.value.metric[2]
  extended_statistic  = startswith(each.value.metric[2], "p") ? each.value.metric[2] : null
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.main[each.value.severity].arn]
  ok_actions          = [aws_sns_topic.main[each.value.severity].arn]
  tags                = { Severity = each.value.severity }
}
