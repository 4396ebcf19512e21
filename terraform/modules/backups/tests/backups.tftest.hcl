mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                = "demo-flask-app-test"
  deletion_protection = true
}

run "the_bucket_is_versioned_encrypted_by_its_own_key_and_private" {
  command = plan

  assert {
    condition     = aws_s3_bucket.main.bucket == "demo-flask-app-test-database-backups-123456789012"
    error_message = "The account's id makes the bucket's name unique in the world."
  }

  assert {
    condition     = aws_s3_bucket_versioning.main.versioning_configuration[0].status == "Enabled"
    error_message = "What is overwritten or deleted by mistake must be there still."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.main.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    error_message = "Objects are encrypted by the module's own key."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.main.block_public_acls,
      aws_s3_bucket_public_access_block.main.block_public_policy,
      aws_s3_bucket_public_access_block.main.ignore_public_acls,
      aws_s3_bucket_public_access_block.main.restrict_public_buckets,
    ])
    error_message = "A copy of the database is never public."
  }

  assert {
    condition     = aws_kms_key.main.enable_key_rotation && aws_kms_alias.main.name == "alias/demo-flask-app-test-database-backups"
    error_message = "The key rotates, and has a name."
  }
}

run "everything_expires_when_its_prefix_says" {
  command = plan

  assert {
    condition = {
      for rule in aws_s3_bucket_lifecycle_configuration.main.rule : rule.filter[0].prefix => rule.expiration[0].days if rule.id != "end-what-is-hidden"
      } == {
      "exports/7-days/"   = 7
      "exports/30-days/"  = 30
      "exports/90-days/"  = 90
      "exports/365-days/" = 365
      "data-docs/"        = 90
      "baselines/"        = 400
    }
    error_message = "Exports and reports expire, baselines are kept longer than a year."
  }

  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.main.rule : rule if rule.id == "end-what-is-hidden"]).noncurrent_version_expiration[0].noncurrent_days == 7
    error_message = "An expired object of a versioned bucket is only hidden, until its version goes."
  }
}

run "only_rds_exports_may_take_the_role_and_only_write_exports" {
  command = plan

  assert {
    condition     = one(one(data.aws_iam_policy_document.assume.statement).principals).identifiers == toset(["export.rds.amazonaws.com"])
    error_message = "The role is for RDS's exports."
  }

  assert {
    condition     = !anytrue([for statement in data.aws_iam_policy_document.export.statement : contains(statement.actions, "*") || contains(statement.actions, "s3:*")])
    error_message = "The role may do what an export needs, no more."
  }

  assert {
    condition     = aws_iam_role.export.name == "demo-flask-app-test-rds-s3-export"
    error_message = "The runbook calls the role by this name."
  }
}

run "a_protected_bucket_is_not_deleted_with_what_is_in_it" {
  command = plan

  assert {
    condition     = coalesce(aws_s3_bucket.main.force_destroy, false) == false && aws_kms_key.main.deletion_window_in_days == 30
    error_message = "Backups outlive a mistake."
  }
}

run "nor_is_an_unprotected_one" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = coalesce(aws_s3_bucket.main.force_destroy, false) == false && aws_kms_key.main.deletion_window_in_days == 7
    error_message = "Records of what backups hold outlive a mistake, also in dev; its key does not wait for a month."
  }
}
