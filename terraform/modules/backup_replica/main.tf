# All of it is in the replica's Region: the module is given that Region's provider.
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

# RDS takes no key of another Region. Without a policy of its own it trusts the account, as that of module backups.
resource "aws_kms_key" "main" {
  description             = "Replicated backups of the database of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_protection ? 30 : 7
}

resource "aws_kms_alias" "main" {
  name          = "alias/${var.name}-backup-replica"
  target_key_id = aws_kms_key.main.key_id
}

resource "aws_db_instance_automated_backups_replication" "main" {
  source_db_instance_arn = var.source_db_instance_arn
  kms_key_id             = aws_kms_key.main.arn
  retention_period       = var.retention_days
}
