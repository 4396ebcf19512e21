mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                  = "demo-flask-app-test"
  vpc_id                = "vpc-1"
  allowed_cidr_blocks   = ["203.0.113.0/24"]
  private_subnet_cidrs  = ["10.9.64.0/20"]
  database_subnet_cidrs = ["10.9.128.0/20"]
  app_port              = 5000
}

run "each_tier_speaks_to_the_next_one_only" {
  command = plan

  override_resource {
    target          = aws_security_group.alb
    values          = { id = "sg-alb" }
    override_during = plan
  }

  override_resource {
    target          = aws_security_group.app
    values          = { id = "sg-app" }
    override_during = plan
  }

  assert {
    condition = alltrue([
      for rule in aws_security_group.alb.ingress :
      contains([80, 443], rule.to_port) && rule.cidr_blocks == tolist(["203.0.113.0/24"])
    ])
    error_message = "The load balancer is open on 80 and 443, to the allowed ranges."
  }

  assert {
    condition = alltrue([
      for rule in aws_security_group.app.ingress :
      rule.from_port == 5000 && rule.to_port == 5000 && rule.security_groups == toset(["sg-alb"]) && try(length(rule.cidr_blocks), 0) == 0
    ])
    error_message = "The instances hear the load balancer only."
  }

  assert {
    condition = alltrue([
      for rule in aws_security_group.db.ingress :
      rule.from_port == 5432 && rule.to_port == 5432 && rule.security_groups == toset(["sg-app"]) && try(length(rule.cidr_blocks), 0) == 0
    ])
    error_message = "The database hears the instances only."
  }

  assert {
    condition     = length(aws_security_group.alb.ingress) == 2 && length(aws_security_group.app.ingress) == 1 && length(aws_security_group.db.ingress) == 1
    error_message = "There are no rules but these."
  }

  assert {
    condition     = length(aws_security_group.db.egress) == 0
    error_message = "The database opens no connection."
  }
}

run "nothing_but_web_traffic_goes_to_or_comes_from_anywhere" {
  command = plan

  variables {
    allowed_cidr_blocks = ["0.0.0.0/0"]
  }

  assert {
    condition = alltrue([
      for rule in flatten([for group in [aws_security_group.alb, aws_security_group.app, aws_security_group.db] :
      [for rule in concat(tolist(group.ingress), tolist(group.egress)) : rule if try(contains(rule.cidr_blocks, "0.0.0.0/0"), false)]]) :
      rule.from_port == rule.to_port && contains([80, 443], rule.to_port)
    ])
    error_message = "0.0.0.0/0 is for ports 80 and 443."
  }
}

run "the_runbook_s_runs_reach_the_database_when_their_network_is_named" {
  command = plan

  variables {
    runbook_cidr_blocks = ["10.20.0.0/24"]
  }

  assert {
    condition = [
      for rule in aws_security_group.db.ingress : rule.cidr_blocks if length(coalesce(rule.cidr_blocks, [])) > 0
    ] == [tolist(["10.20.0.0/24"])]
    error_message = "That range, and no other."
  }

  assert {
    condition     = alltrue([for rule in aws_security_group.db.ingress : rule.from_port == 5432 && rule.to_port == 5432])
    error_message = "PostgreSQL only."
  }
}
