# One Prefect worker, which starts each run as a task of its own: a run outlives the worker that started it.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  region  = data.aws_region.current.name
  account = data.aws_caller_identity.current.account_id

  # What the runs and the way to AWS, the application, the databases and the Prefect server need.
  server = regex("^(?P<scheme>https?)://[^/:]+(?::(?P<port>[0-9]+))?/", var.prefect_api_url)
  ports = {
    "AWS, the application" = 443
    "The application"      = 80
    "PostgreSQL"           = 5432
    "The Prefect server"   = tonumber(coalesce(local.server.port, local.server.scheme == "https" ? "443" : "80"))
  }
}

resource "aws_ecs_cluster" "main" {
  name = var.name
}

resource "aws_cloudwatch_log_group" "main" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.retention_days
}

# Terraform never knows its value: a person writes it, and ECS tries again until it is there.
resource "aws_secretsmanager_secret" "main" {
  name                    = "${var.name}-prefect"
  description             = "${var.prefect_login} of the worker and its runs"
  recovery_window_in_days = 7
}

# Nobody calls a worker: it asks. Inline rules, as in module security.
resource "aws_security_group" "main" {
  name        = "${var.name}-sg"
  description = "Worker and runs: nothing in"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-sg" }
  ingress     = []

  dynamic "egress" {
    for_each = { for port in distinct(values(local.ports)) : port => [for name, one in local.ports : name if one == port] }
    content {
      description = join(", ", egress.value)
      protocol    = "tcp"
      from_port   = egress.key
      to_port     = egress.key
      cidr_blocks = ["0.0.0.0/0"]
    }
  }
}

resource "aws_ecs_task_definition" "main" {
  family                   = "${var.name}-worker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 1024
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.worker.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([{
    name        = "worker"
    image       = var.image
    essential   = true
    stopTimeout = 120
    environment = [
      { name = "AWS_DEFAULT_REGION", value = local.region },
      { name = "PREFECT_API_URL", value = var.prefect_api_url },
    ]
    secrets = [{ name = var.prefect_login, valueFrom = aws_secretsmanager_secret.main.arn }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.main.name
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = "worker"
      }
    }
  }])
}

# During a deployment there are two workers for a while; Prefect hands each run to one of them only.
resource "aws_ecs_service" "main" {
  name            = "worker"
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.main.arn
  launch_type     = "FARGATE"
  desired_count   = 1

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.main.id]
    assign_public_ip = false
  }

  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy.worker]
}
