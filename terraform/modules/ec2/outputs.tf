output "asg_name" {
  description = "Name of the Auto Scaling group."
  value       = aws_autoscaling_group.main.name
}

output "launch_template_id" {
  description = "Id of the launch template."
  value       = aws_launch_template.main.id
}
