locals {
  name       = "${var.name}-db"
  identifier = coalesce(var.identifier, local.name)
  exports    = ["postgresql", "upgrade"]
}

resource "aws_db_subnet_group" "main" {
  name        = local.name
  description = "Database subnets of ${var.name}"
  subnet_ids  = var.subnet_ids
}

# rds.force_ssl is on by default in PostgreSQL 15: not repeated here.
resource "aws_db_parameter_group" "main" {
  name        = "${var.name}-pg15"
  description = "PostgreSQL 15 settings of ${var.name}"
  family      = "postgres15"

  parameter {
    name  = "log_min_duration_statement"
    value = "500" # ms
  }

  # Explicit, so that the connection alarm's threshold is 80 % of a known number.
  parameter {
    name         = "max_connections"
    value        = var.max_connections
    apply_method = "pending-reboot"
  }

  lifecycle {
    create_before_destroy = true
  }
}

# RDS would make these itself, and keep them for ever.
resource "aws_cloudwatch_log_group" "export" {
  for_each          = toset(local.exports)
  name              = "/aws/rds/instance/${local.name}/${each.key}"
  retention_in_days = var.retention_days.logs
}

# A recovered database that serves under its own name has its own, beside those of the one before it.
resource "aws_cloudwatch_log_group" "recovered" {
  for_each          = toset(local.identifier == local.name ? [] : local.exports)
  name              = "/aws/rds/instance/${local.identifier}/${each.key}"
  retention_in_days = var.retention_days.logs
}

resource "aws_db_instance" "main" {
  identifier     = local.identifier
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  multi_az       = var.multi_az

  # Minor versions are upgraded by a procedure that snapshots and verifies, not by surprise; a version that moved by
  # itself would also read as a downgrade in the next plan.
  auto_minor_version_upgrade = false

  storage_type          = "gp3"
  storage_encrypted     = true
  allocated_storage     = 20  # GiB
  max_allocated_storage = 100 # GiB

  db_name              = "demo_db"
  port                 = 5432
  parameter_group_name = aws_db_parameter_group.main.name

  # Sent when the version changes, else not looked at; "" because the provider takes no version without a password,
  # and RDS makes no database with that one.
  username            = "postgres"
  password_wo         = var.password == null ? "" : var.password
  password_wo_version = var.password_version

  db_subnet_group_name   = aws_db_subnet_group.main.name
  vpc_security_group_ids = [var.security_group_id]
  publicly_accessible    = false

  # The windows must not touch: RDS counts 01:00-02:00 and 02:00-05:00 as an overlap.
  backup_window           = "00:30-01:30"
  maintenance_window      = "sun:02:00-sun:05:00"
  backup_retention_period = var.retention_days.backups
  copy_tags_to_snapshot   = true

  # What was deleted by mistake comes back from these: see recover_infrastructure.
  delete_automated_backups = false

  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = "${local.identifier}-final"

  performance_insights_enabled    = true
  enabled_cloudwatch_logs_exports = local.exports

  tags = { Name = local.identifier }

  depends_on = [aws_cloudwatch_log_group.export]
}
