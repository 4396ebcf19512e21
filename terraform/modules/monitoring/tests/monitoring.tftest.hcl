mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                    = "demo-flask-app-test"
  alert_email             = "ops@example.com"
  alb_arn_suffix          = "app/a/1"
  target_group_arn_suffix = "targetgroup/t/1"
  asg_name                = "demo-flask-app-test-asg"
  db_identifier           = "demo-flask-app-test-db"
  db_max_connections      = 100
  error_metric            = { namespace = "demo-flask-app-test", name = "ErrorCount" }
}

run "alarms_count_in_the_metric_s_own_unit" {
  command = plan

  assert {
    condition     = { for name in ["slow-responses", "slow-responses-warning"] : name => aws_cloudwatch_metric_alarm.main[name].threshold } == { slow-responses = 1, slow-responses-warning = 0.5 }
    error_message = "TargetResponseTime is in seconds, not in milliseconds."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.main["db-storage-low"].threshold == 10737418240
    error_message = "FreeStorageSpace is in bytes."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.main["db-connections-high"].threshold == 80
    error_message = "80 % of 100 connections are 80 connections."
  }
}

run "alarms_wait_as_long_as_the_runbook_says" {
  command = plan

  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.main : name => alarm.period * alarm.evaluation_periods / 60
      } == {
      unhealthy-hosts        = 5
      no-healthy-hosts       = 2
      high-5xx-errors        = 5
      high-elb-5xx-errors    = 5
      db-cpu-high            = 10
      db-storage-low         = 5
      slow-responses         = 10
      cpu-high               = 15
      db-connections-high    = 5
      slow-responses-warning = 15
    }
    error_message = "An alarm's period times its evaluations is not the runbook's number of minutes."
  }
}

run "an_outage_without_targets_is_seen" {
  command = plan

  assert {
    condition     = aws_cloudwatch_metric_alarm.main["no-healthy-hosts"].treat_missing_data == "breaching"
    error_message = "Without targets HealthyHostCount is silent, and the silence is the outage."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.main["high-elb-5xx-errors"].metric_name == "HTTPCode_ELB_5XX_Count"
    error_message = "Without targets the load balancer answers 503 itself, which Target_5XX does not count."
  }
}

run "severity_decides_who_is_woken" {
  command = plan

  override_resource {
    target          = aws_sns_topic.main["critical"]
    values          = { arn = "arn:aws:sns:eu-north-1:123456789012:critical" }
    override_during = plan
  }

  override_resource {
    target          = aws_sns_topic.main["warning"]
    values          = { arn = "arn:aws:sns:eu-north-1:123456789012:warning" }
    override_during = plan
  }

  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.main :
      alarm.alarm_actions == toset(["arn:aws:sns:eu-north-1:123456789012:${alarm.tags.Severity}"])
    ])
    error_message = "An alarm goes to the topic of its own severity, and to no other."
  }

  assert {
    condition     = length(output.alarm_names["critical"]) == 7 && length(output.alarm_names["warning"]) == 3
    error_message = "Seven alarms page, three are mailed."
  }
}

run "a_certificate_is_watched" {
  command = plan

  variables {
    ssl_certificate_arn = "arn:aws:acm:eu-north-1:123456789012:certificate/1"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.main["cert-expiring"].dimensions.CertificateArn == var.ssl_certificate_arn
    error_message = "The expiry alarm must watch the listener's certificate."
  }
}
