resource "aws_secretsmanager_secret" "main" {
  name                    = "${var.name}-db"
  description             = "Address and credentials of ${local.name}"
  recovery_window_in_days = var.deletion_protection ? 30 : 0
}

# The first version only: rotation and restores write the following ones through the API. Write-only, so neither
# plan nor state holds the password. Without a password there is nothing to write, and the apply fails instead of
# storing a secret that opens nothing.
resource "aws_secretsmanager_secret_version" "main" {
  secret_id                = aws_secretsmanager_secret.main.id
  secret_string_wo_version = var.password_version

  secret_string_wo = var.password == null ? "" : jsonencode({
    engine   = "postgres"
    host     = aws_db_instance.main.address
    port     = aws_db_instance.main.port
    dbname   = aws_db_instance.main.db_name
    username = aws_db_instance.main.username
    password = var.password
  })

  # The second label keeps this version from being deleted after two rotations: Terraform would miss it and put the
  # first password back.
  version_stages = ["AWSCURRENT", "TERRAFORM"]

  lifecycle {
    create_before_destroy = true
    ignore_changes        = [version_stages]
  }
}
