# The plan with the flag on. What is made, and where, is checked in tests/terraform, on the planned resources.

mock_provider "aws" {
  source = "../../tests/mocks"
}

mock_provider "aws" {
  alias  = "replica"
  source = "../../tests/mocks"
}

variables {
  image          = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  backup_replica = true
}

run "replicates" {
  command = plan

  override_resource {
    target          = module.rds.aws_db_instance.main
    override_during = plan
    values          = { arn = "arn:aws:rds:eu-north-1:123456789012:db:replicated" }
  }

  assert {
    condition     = length(module.backup_replica) == 1
    error_message = "The flag is all that it takes."
  }
}
