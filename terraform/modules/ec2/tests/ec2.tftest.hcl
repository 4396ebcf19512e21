mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                    = "demo-flask-app-test"
  image                   = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  repository_arn          = "arn:aws:ecr:eu-north-1:123456789012:repository/demo-flask-app"
  db_secret_arn           = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:demo-flask-app-test-db"
  log_group               = { name = "/aws/ec2/demo-flask-app-test", arn = "arn:aws:logs:eu-north-1:123456789012:log-group:/aws/ec2/demo-flask-app-test" }
  subnet_ids              = ["subnet-1", "subnet-2"]
  security_group_id       = "sg-1"
  target_group            = { arn = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:targetgroup/t/1", port = 5000, resource_label = "app/a/1/targetgroup/t/1" }
  instance_type           = "t3.micro"
  capacity                = { min = 1, max = 2 }
  instance_warmup_seconds = 120
}

run "the_image_stands_in_the_user_data_once_and_last" {
  command = plan

  assert {
    condition     = length(split(var.image, base64decode(aws_launch_template.main.user_data))) == 2
    error_message = "A deployment replaces the image by its text: it must stand in the user data exactly once."
  }

  assert {
    condition     = endswith(base64decode(aws_launch_template.main.user_data), "${var.image}\n")
    error_message = "The user data ends in docker run's last argument, the image."
  }

  assert {
    condition     = !strcontains(jsonencode([aws_launch_template.main.tag_specifications, aws_autoscaling_group.main.tag]), "sha256")
    error_message = "The image must not stand in tags: the plan after a deployment would never be empty."
  }
}

run "a_new_environment_starts_with_the_newest_machine_image" {
  command = plan

  assert {
    condition     = aws_launch_template.main.image_id == "ami-0123456789abcdef0"
    error_message = "Without an ami_id the newest Amazon Linux 2023 is meant."
  }
}

run "an_existing_one_keeps_its_machine_image" {
  command = plan

  variables {
    ami_id = "ami-0aaaaaaaaaaaaaaaa"
  }

  assert {
    condition     = aws_launch_template.main.image_id == "ami-0aaaaaaaaaaaaaaaa"
    error_message = "Only patching moves the machine image; an apply must not."
  }
}

run "instances_answer_metadata_requests_with_a_token_only" {
  command = plan

  assert {
    condition     = aws_launch_template.main.metadata_options[0].http_tokens == "required" && aws_launch_template.main.metadata_options[0].http_put_response_hop_limit == 2
    error_message = "IMDSv2 is required, two hops far."
  }

  assert {
    condition     = aws_launch_template.main.block_device_mappings[0].ebs[0].encrypted == "true" && aws_launch_template.main.block_device_mappings[0].ebs[0].volume_type == "gp3"
    error_message = "The root volume is an encrypted gp3."
  }
}

run "the_group_is_replaced_by_health_and_never_refreshed_by_terraform" {
  command = plan

  assert {
    condition     = aws_autoscaling_group.main.health_check_type == "ELB" && aws_autoscaling_group.main.health_check_grace_period == 300
    error_message = "The load balancer's word on health counts, after 300 seconds."
  }

  assert {
    condition     = length(aws_autoscaling_group.main.instance_refresh) == 0
    error_message = "The deployment flow refreshes, not Terraform."
  }

  assert {
    condition     = aws_autoscaling_group.main.min_elb_capacity == 1 && aws_autoscaling_group.main.default_instance_warmup == 120
    error_message = "The first apply waits for as many healthy instances as must run."
  }
}

run "instances_read_their_databases_secret_and_a_restored_copys_and_no_other" {
  command = plan

  assert {
    condition = { for one in data.aws_iam_policy_document.main.statement : one.sid => one.resources if strcontains(jsonencode(one.actions), "secretsmanager") } == {
      ReadDatabaseSecret         = toset(["arn:aws:secretsmanager:eu-north-1:123456789012:secret:demo-flask-app-test-db"])
      ReadRestoredDatabaseSecret = toset(["arn:aws:secretsmanager:eu-north-1:123456789012:secret:demo-flask-app-test-verify-*"])
    }
    error_message = "Besides its own, an instance may read secrets named <name>-verify-* and no other."
  }
}
