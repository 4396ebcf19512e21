mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name            = "demo-flask-app-runbook"
  project_name    = "demo-flask-app"
  image           = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app-runbook@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  repository_arn  = "arn:aws:ecr:eu-north-1:123456789012:repository/demo-flask-app-runbook"
  vpc_id          = "vpc-0123456789abcdef0"
  subnet_ids      = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  prefect_api_url = "https://prefect.example.com:4200/api"
  prefect_login   = "PREFECT_API_AUTH_STRING"
  run_size        = { cpu = 1024, memory = 4096 }
  retention_days  = 30
}

override_resource {
  target          = aws_ecs_cluster.main
  override_during = plan
  values          = { arn = "arn:aws:ecs:eu-north-1:123456789012:cluster/demo-flask-app-runbook" }
}

override_resource {
  target          = aws_iam_role.execution
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:role/demo-flask-app-runbook-execution" }
}

override_resource {
  target          = aws_iam_role.run
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:role/demo-flask-app-runbook-run" }
}

override_resource {
  target          = aws_secretsmanager_secret.main
  override_during = plan
  values          = { arn = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:demo-flask-app-runbook-prefect-AbCdEf" }
}

override_resource {
  target          = aws_cloudwatch_log_group.main
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-north-1:123456789012:log-group:/ecs/demo-flask-app-runbook" }
}

override_resource {
  target          = aws_security_group.main
  override_during = plan
  values          = { id = "sg-0123456789abcdef0" }
}

run "one_worker_runs_where_nobody_can_call_it" {
  command = plan

  assert {
    condition     = aws_ecs_service.main.desired_count == 1 && aws_ecs_service.main.launch_type == "FARGATE"
    error_message = "One worker, without a machine to look after."
  }

  assert {
    condition     = !aws_ecs_service.main.network_configuration[0].assign_public_ip && length(aws_security_group.main.ingress) == 0
    error_message = "A worker asks, and nobody calls it."
  }

  assert {
    condition     = sort([for rule in aws_security_group.main.egress : tostring(rule.from_port)]) == tolist(["4200", "443", "5432", "80"])
    error_message = "Out: AWS and the application, the databases, and the port of the Prefect server."
  }
}

run "a_server_on_the_usual_port_needs_no_rule_of_its_own" {
  command = plan

  variables {
    prefect_api_url = "https://prefect.example.com/api"
  }

  assert {
    condition     = sort([for rule in aws_security_group.main.egress : tostring(rule.from_port)]) == tolist(["443", "5432", "80"])
    error_message = "Two rules with one port would be refused by EC2."
  }
}

run "its_login_comes_from_the_secret_and_is_written_nowhere" {
  command = plan

  assert {
    condition     = jsondecode(aws_ecs_task_definition.main.container_definitions)[0].secrets == [{ name = "PREFECT_API_AUTH_STRING", valueFrom = aws_secretsmanager_secret.main.arn }]
    error_message = "ECS gives the worker the secret's value."
  }

  assert {
    condition     = [for one in jsondecode(aws_ecs_task_definition.main.container_definitions)[0].environment : one.name] == ["AWS_DEFAULT_REGION", "PREFECT_API_URL"]
    error_message = "Nothing secret is in a task definition."
  }
}

run "its_output_is_kept_for_a_while" {
  command = plan

  assert {
    condition     = aws_cloudwatch_log_group.main.retention_in_days == 30
    error_message = "Without a retention it would be kept for ever."
  }
}

run "a_worker_may_start_runs_in_its_cluster_and_hand_over_two_roles" {
  command = plan

  assert {
    condition = jsonencode([for one in data.aws_iam_policy_document.worker.statement : sort(one.actions)]) == jsonencode([
      ["ecs:RunTask"], ["ecs:DescribeTasks", "ecs:StopTask"], ["ecs:TagResource"],
      ["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"], ["iam:PassRole"],
    ])
    error_message = "It starts, stops and describes runs, and nothing else."
  }

  assert {
    condition = data.aws_iam_policy_document.worker.statement[4].resources == toset([
      "arn:aws:iam::123456789012:role/demo-flask-app-runbook-execution", "arn:aws:iam::123456789012:role/demo-flask-app-runbook-run",
    ])
    error_message = "Exactly the two roles of a run."
  }

  assert {
    condition     = one(data.aws_iam_policy_document.worker.statement[0].condition).values == tolist([aws_ecs_cluster.main.arn])
    error_message = "In this cluster only."
  }

  assert {
    condition     = data.aws_iam_policy_document.worker.statement[1].resources == toset(["arn:aws:ecs:eu-north-1:123456789012:task/demo-flask-app-runbook/*"])
    error_message = "Tasks of this cluster only."
  }
}

run "a_run_s_data_and_rights_are_the_project_s_own" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for one in data.aws_iam_policy_document.run.statement : [for resource in one.resources : strcontains(resource, "demo-flask-app") || endswith(resource, ":oidc-provider/*")]
      if one.sid != "OperateLookAndFind"
    ]))
    error_message = "Buckets, tables, secrets and roles are bounded by name."
  }

  assert {
    condition = one([
      for one in data.aws_iam_policy_document.run.statement : one.resources if one.effect == "Deny"
    ]) == toset(["arn:aws:iam::123456789012:role/demo-flask-app-runbook-*"])
    error_message = "A run never widens the worker's roles."
  }
}

run "the_job_template_is_told_all_that_it_needs" {
  command = plan

  assert {
    condition     = output.work_pool.image == var.image && output.work_pool.family == "demo-flask-app-runbook-run" && output.work_pool.task_role_arn != output.work_pool.execution_role_arn
    error_message = "deployments/ecs.py reads this."
  }
}

run "a_login_that_prefect_does_not_know_is_refused" {
  command = plan

  variables {
    prefect_login = "PASSWORD"
  }

  expect_failures = [var.prefect_login]
}
