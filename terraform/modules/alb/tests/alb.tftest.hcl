mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                = "demo-flask-app-test"
  vpc_id              = "vpc-1"
  subnet_ids          = ["subnet-1", "subnet-2"]
  security_group_id   = "sg-1"
  app_port            = 5000
  deletion_protection = true
}

override_resource {
  target          = aws_lb.main
  values          = { arn = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:loadbalancer/app/a/1", dns_name = "10.0.0.1:8443" }
  override_during = plan
}

override_resource {
  target          = aws_lb_target_group.main
  values          = { arn = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:targetgroup/t/1" }
  override_during = plan
}

run "health_is_asked_for_without_the_database" {
  command = plan

  assert {
    condition = [
      for check in aws_lb_target_group.main.health_check :
      [check.path, check.interval, check.timeout, check.healthy_threshold, check.unhealthy_threshold]
    ] == [["/health", 30, 5, 2, 3]]
    error_message = "The target group's health check is not the agreed one."
  }

  assert {
    condition     = aws_lb_target_group.main.port == 5000 && aws_lb_target_group.main.deregistration_delay == "30"
    error_message = "The target group's port or its deregistration delay is not the agreed one."
  }
}

run "serves_http_without_a_certificate" {
  command = plan

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "forward" && length(aws_lb_listener.https) == 0
    error_message = "Without a certificate port 80 serves."
  }

  assert {
    condition     = output.url == "http://10.0.0.1:8443"
    error_message = "The URL must speak HTTP."
  }
}

run "sends_http_to_https_with_a_certificate" {
  command = plan

  variables {
    ssl_certificate_arn = "arn:aws:acm:eu-north-1:123456789012:certificate/1"
  }

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "redirect" && aws_lb_listener.http.default_action[0].redirect[0].status_code == "HTTP_301"
    error_message = "With a certificate port 80 sends to HTTPS."
  }

  assert {
    condition     = startswith(aws_lb_listener.https["main"].ssl_policy, "ELBSecurityPolicy-TLS13")
    error_message = "HTTPS needs a policy with TLS 1.3."
  }

  assert {
    condition     = output.url == "https://10.0.0.1:8443"
    error_message = "The URL must speak HTTPS."
  }
}
