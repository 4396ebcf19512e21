# The plan of this environment as committed. Its sizes are checked in tests/terraform, on the planned resources.

mock_provider "aws" {
  source = "../../tests/mocks"
}

mock_provider "aws" {
  alias  = "replica"
  source = "../../tests/mocks"
}

variables {
  image = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
}

run "plans" {
  command = plan

  assert {
    condition     = output.asg_name == "demo-flask-app-dev-asg" && output.db_identifier == "demo-flask-app-dev-db"
    error_message = "The runbook calls things by these names."
  }

  assert {
    condition     = output.log_group_name == "/aws/ec2/demo-flask-app-dev" && output.dashboard_name == "demo-flask-app-dev-dashboard"
    error_message = "The runbook calls things by these names."
  }

  assert {
    condition     = length(output.public_subnet_ids) == 2 && length(output.private_subnet_ids) == 2 && length(output.database_subnet_ids) == 2
    error_message = "dev has 2 zones."
  }

  assert {
    condition     = output.backup_replica_arn == null && length(module.backup_replica) == 0
    error_message = "Backups are replicated only where somebody has asked for it."
  }

  assert {
    condition     = output.ssl_certificate_arn == null
    error_message = "No certificate is committed."
  }
}
