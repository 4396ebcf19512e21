mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                   = "demo-flask-app-test"
  source_db_instance_arn = "arn:aws:rds:eu-north-1:123456789012:db:demo-flask-app-test-db"
  retention_days         = 30
  deletion_protection    = true
}

run "the_database_s_backups_are_replicated_and_kept_as_long_as_they_are_at_home" {
  command = plan

  assert {
    condition     = aws_db_instance_automated_backups_replication.main.source_db_instance_arn == var.source_db_instance_arn
    error_message = "It is the database of this environment that is replicated."
  }

  assert {
    condition     = aws_db_instance_automated_backups_replication.main.retention_period == 30
    error_message = "The provider's default would be 7 days."
  }
}

run "they_are_encrypted_with_a_key_of_their_own_region" {
  command = plan

  override_resource {
    target          = aws_kms_key.main
    override_during = plan
    values          = { arn = "arn:aws:kms:eu-west-1:123456789012:key/1" }
  }

  assert {
    condition     = aws_db_instance_automated_backups_replication.main.kms_key_id == aws_kms_key.main.arn
    error_message = "RDS refuses to replicate an encrypted database without a key of the Region it is replicated to."
  }

  assert {
    condition     = aws_kms_key.main.enable_key_rotation && aws_kms_alias.main.name == "alias/demo-flask-app-test-backup-replica"
    error_message = "The key rotates, and has a name."
  }
}

run "a_protected_environment_keeps_its_key_for_a_month" {
  command = plan

  assert {
    condition     = aws_kms_key.main.deletion_window_in_days == 30
    error_message = "Who switches the replica off by mistake must be able to take its key back."
  }
}

run "another_s_key_does_not_wait_for_a_month" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = aws_kms_key.main.deletion_window_in_days == 7
    error_message = "A week is the shortest that AWS takes."
  }
}
