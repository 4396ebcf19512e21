# Rules are inline on purpose: Terraform then owns the whole list, shows a rule that someone added by hand in its
# plan and takes it away again. Separate rule resources never see such a rule.
# Towards the next tier a group allows that tier's subnets; groups that name each other would be a cycle.

resource "aws_security_group" "alb" {
  name        = "${var.name}-alb-sg"
  description = "Load balancer: web traffic in, application out"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-alb-sg" }

  dynamic "ingress" {
    for_each = { 80 = "HTTP", 443 = "HTTPS" }
    content {
      description = "${ingress.value} from the allowed ranges"
      protocol    = "tcp"
      from_port   = ingress.key
      to_port     = ingress.key
      cidr_blocks = var.allowed_cidr_blocks
    }
  }

  egress {
    description = "Application and its health check"
    protocol    = "tcp"
    from_port   = var.app_port
    to_port     = var.app_port
    cidr_blocks = var.private_subnet_cidrs
  }
}

resource "aws_security_group" "app" {
  name        = "${var.name}-app-sg"
  description = "Instances: the load balancer in, database and AWS APIs out"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-app-sg" }

  ingress {
    description     = "Application, from the load balancer"
    protocol        = "tcp"
    from_port       = var.app_port
    to_port         = var.app_port
    security_groups = [aws_security_group.alb.id]
  }

  egress {
    description = "PostgreSQL"
    protocol    = "tcp"
    from_port   = 5432
    to_port     = 5432
    cidr_blocks = var.database_subnet_cidrs
  }

  egress {
    description = "AWS APIs and package repositories"
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "db" {
  name        = "${var.name}-db-sg"
  description = "Database: the instances in, nothing out"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-db-sg" }

  ingress {
    description     = "PostgreSQL, from the instances"
    protocol        = "tcp"
    from_port       = 5432
    to_port         = 5432
    security_groups = [aws_security_group.app.id]
  }

  # Procedures ask the database themselves: whether a copy holds what it should, how far behind it is.
  dynamic "ingress" {
    for_each = toset(length(var.runbook_cidr_blocks) > 0 ? ["PostgreSQL, from the runs of the runbook"] : [])
    content {
      description = ingress.key
      protocol    = "tcp"
      from_port   = 5432
      to_port     = 5432
      cidr_blocks = var.runbook_cidr_blocks
    }
  }

  egress = []
}
