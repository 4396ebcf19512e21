mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                = "demo-flask-app-test"
  subnet_ids          = ["subnet-1", "subnet-2"]
  security_group_id   = "sg-1"
  instance_class      = "db.t3.small"
  multi_az            = true
  engine_version      = "15.8"
  max_connections     = 200
  retention_days      = { backups = 30, logs = 90 }
  deletion_protection = true
  password            = "canary-9f2c"
  password_version    = 1
}

run "a_protected_database_leaves_a_snapshot_and_its_secret_behind" {
  command = plan

  assert {
    condition     = aws_db_instance.main.deletion_protection && !aws_db_instance.main.skip_final_snapshot && aws_secretsmanager_secret.main.recovery_window_in_days == 30
    error_message = "A protected database must not go without a trace."
  }
}

run "backups_outlive_the_database" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = !aws_db_instance.main.delete_automated_backups
    error_message = "A database that is destroyed by mistake comes back from its automated backups."
  }
}

run "data_is_encrypted_and_not_public" {
  command = plan

  assert {
    condition     = aws_db_instance.main.storage_encrypted && !aws_db_instance.main.publicly_accessible
    error_message = "Storage is encrypted, the address is private."
  }
}

run "backup_and_maintenance_windows_do_not_touch" {
  command = plan

  assert {
    condition     = aws_db_instance.main.backup_window == "00:30-01:30" && aws_db_instance.main.maintenance_window == "sun:02:00-sun:05:00"
    error_message = "RDS refuses windows that touch."
  }
}

run "max_connections_is_what_the_alarm_is_told" {
  command = plan

  assert {
    condition     = one([for p in aws_db_parameter_group.main.parameter : p.value if p.name == "max_connections"]) == "200"
    error_message = "The parameter group must set max_connections."
  }
}

run "an_existing_database_is_planned_without_its_password" {
  command = plan

  variables {
    password = null
  }

  assert {
    condition     = aws_db_instance.main.password_wo_version == 1
    error_message = "A plan without the password must be possible."
  }
}
