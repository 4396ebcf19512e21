data "aws_region" "current" {}

data "aws_default_tags" "current" {}

# Only what a new environment starts with: patching moves it, instance by instance, and can take it back. Were the
# newest planned each time, the next apply would move the group, and leave nothing to roll back to.
data "aws_ssm_parameter" "al2023" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

# A deployment or patch makes a new version of this template through the API, with another image in the user data or
# another AMI and nothing else. So the image stands in the user data only, and the default version is left alone: then the next plan, given
# what runs, is empty.
resource "aws_launch_template" "main" {
  name                   = "${var.name}-lt"
  image_id               = coalesce(var.ami_id, data.aws_ssm_parameter.al2023.insecure_value)
  instance_type          = var.instance_type
  ebs_optimized          = true
  vpc_security_group_ids = [var.security_group_id]

  user_data = base64encode(templatefile("${path.module}/user_data.sh.tftpl", {
    region        = data.aws_region.current.name
    registry      = split("/", var.image)[0]
    image         = var.image
    port          = var.target_group.port
    log_group     = var.log_group.name
    db_secret_arn = var.db_secret_arn
  }))

  iam_instance_profile {
    arn = aws_iam_instance_profile.main.arn
  }

  # Two hops: the container sits one hop behind the host.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = 20
      encrypted             = true
      delete_on_termination = true
    }
  }

  # A version made by a flow says in its description what it is made of and which one it replaces.
  lifecycle {
    ignore_changes = [description]
  }

  # default_tags reach neither volumes nor instances by themselves; the instances get theirs from the group.
  tag_specifications {
    resource_type = "volume"
    tags          = merge(data.aws_default_tags.current.tags, { Name = "${var.name}-app" })
  }
}

# No instance_refresh block: Terraform would start a refresh and neither wait for it nor report its failure, and a
# refresh that could not start is forgotten by the next plan. The deployment flow starts it, watches it, undoes it.
resource "aws_autoscaling_group" "main" {
  name                      = "${var.name}-asg"
  min_size                  = var.capacity.min
  max_size                  = var.capacity.max
  desired_capacity          = var.capacity.min
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = [var.target_group.arn]
  health_check_type         = "ELB"
  health_check_grace_period = 300
  default_instance_warmup   = var.instance_warmup_seconds
  min_elb_capacity          = var.capacity.min
  wait_for_capacity_timeout = "10m"

  enabled_metrics = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
  ]

  # A number, never $Latest: what runs is what was planned.
  launch_template {
    id      = aws_launch_template.main.id
    version = aws_launch_template.main.latest_version
  }

  dynamic "tag" {
    for_each = merge(data.aws_default_tags.current.tags, { Name = "${var.name}-app" })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  # The scaling policies own the capacity.
  lifecycle {
    ignore_changes = [desired_capacity]
  }

  # An instance that boots without its permissions fails in its user data.
  depends_on = [aws_iam_role_policy.main, aws_iam_role_policy_attachment.managed]
}

resource "aws_autoscaling_policy" "cpu" {
  name                   = "${var.name}-cpu"
  autoscaling_group_name = aws_autoscaling_group.main.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = 60 # percent
    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

resource "aws_autoscaling_policy" "requests" {
  name                   = "${var.name}-requests"
  autoscaling_group_name = aws_autoscaling_group.main.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = 1000 # per minute and instance
    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = var.target_group.resource_label
    }
  }
}
