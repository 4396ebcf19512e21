# Values come from terraform.tfvars; each run changes one for the worse.

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

run "refuses_to_leave_prod_unprotected" {
  command = plan

  variables {
    deletion_protection = false
  }

  expect_failures = [var.deletion_protection]
}
