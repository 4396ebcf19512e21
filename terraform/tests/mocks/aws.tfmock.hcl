# Enough of AWS to make plans: no credentials, no network.

mock_data "aws_region" {
  defaults = { name = "eu-north-1" }
}

mock_data "aws_availability_zones" {
  defaults = { names = ["eu-north-1a", "eu-north-1b", "eu-north-1c"] }
}

mock_data "aws_default_tags" {
  defaults = { tags = { Project = "demo-flask-app", ManagedBy = "terraform" } }
}

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_ssm_parameter" {
  defaults = { insecure_value = "ami-0123456789abcdef0" }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
}

mock_data "aws_ecr_repository" {
  defaults = {
    arn            = "arn:aws:ecr:eu-north-1:123456789012:repository/demo-flask-app"
    repository_url = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app"
  }
}
