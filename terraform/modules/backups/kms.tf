# Without a policy of its own the key trusts the account, and the account's IAM policies say who may use it.
resource "aws_kms_key" "main" {
  description             = "Exports, baselines and reports of the database of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_protection ? 30 : 7
}

resource "aws_kms_alias" "main" {
  name          = "alias/${var.name}-database-backups"
  target_key_id = aws_kms_key.main.key_id
}
