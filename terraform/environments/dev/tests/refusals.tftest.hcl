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

run "refuses_an_image_by_tag" {
  command = plan

  variables {
    image = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app:latest"
  }

  expect_failures = [var.image]
}

run "refuses_another_repository_s_image" {
  command = plan

  variables {
    image = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/other@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }

  expect_failures = [var.image]
}

run "refuses_a_public_or_broken_vpc_range" {
  command = plan

  variables {
    vpc_cidr = "8.8.0.0/16"
  }

  expect_failures = [var.vpc_cidr]
}

run "refuses_a_single_zone" {
  command = plan

  variables {
    az_count = 1
  }

  expect_failures = [var.az_count]
}

run "refuses_to_open_dev_to_the_world" {
  command = plan

  variables {
    allowed_cidr_blocks = ["203.0.113.0/24", "0.0.0.0/0"]
  }

  expect_failures = [var.allowed_cidr_blocks]
}

run "refuses_a_broken_range" {
  command = plan

  variables {
    allowed_cidr_blocks = ["203.0.113.0"]
  }

  expect_failures = [var.allowed_cidr_blocks]
}

run "refuses_a_group_that_cannot_grow" {
  command = plan

  variables {
    asg_min_size = 2
    asg_max_size = 2
  }

  expect_failures = [var.asg_max_size]
}

run "refuses_another_major_version_than_the_parameter_group_s" {
  command = plan

  variables {
    db_engine_version = "16.3"
  }

  expect_failures = [var.db_engine_version]
}

run "refuses_to_switch_backups_off" {
  command = plan

  variables {
    backup_retention_days = 0
  }

  expect_failures = [var.backup_retention_days]
}

run "refuses_a_certificate_of_another_region" {
  command = plan

  variables {
    ssl_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
  }

  expect_failures = [var.ssl_certificate_arn]
}

run "refuses_a_replica_in_the_database_s_own_region" {
  command = plan

  variables {
    backup_replica_region = "eu-north-1"
  }

  expect_failures = [var.backup_replica_region]
}
