# One map is both the outputs and their mirror in SSM, so that the two cannot differ.
# Absent on purpose: the image and the launch template's version. A deployment changes both without Terraform, and the
# plan after it would never be empty. The Auto Scaling group knows them.
locals {
  outputs = merge(
    {
      region                = var.region
      vpc_id                = module.vpc.vpc_id
      public_subnet_ids     = module.vpc.public_subnet_ids
      private_subnet_ids    = module.vpc.private_subnet_ids
      database_subnet_ids   = module.vpc.database_subnet_ids
      alb_security_group_id = module.security.alb_security_group_id
      app_security_group_id = module.security.app_security_group_id
      db_security_group_id  = module.security.db_security_group_id

      alb_url                 = module.alb.url
      alb_arn                 = module.alb.arn
      alb_arn_suffix          = module.alb.arn_suffix
      target_group_arn        = module.alb.target_group.arn
      target_group_arn_suffix = module.alb.target_group.arn_suffix
      domain_name             = var.domain_name

      asg_name           = module.ec2.asg_name
      asg_min_size       = var.asg_min_size
      asg_max_size       = var.asg_max_size
      launch_template_id = module.ec2.launch_template_id
      ecr_repository_url = data.aws_ecr_repository.main.repository_url

      db_identifier = module.rds.identifier
      db_endpoint   = module.rds.address
      db_port       = module.rds.port
      db_secret_arn = module.rds.secret_arn

      backup_bucket      = module.backups.bucket
      export_role_arn    = module.backups.export_role_arn
      export_kms_key_arn = module.backups.key_arn

      log_group_name           = module.logs.log_group.name
      dashboard_name           = module.monitoring.dashboard_name
      cloudwatch_dashboard_url = module.monitoring.dashboard_url
      sns_critical_topic_arn   = module.monitoring.topic_arns["critical"]
      sns_warning_topic_arn    = module.monitoring.topic_arns["warning"]
      critical_alarm_names     = module.monitoring.alarm_names["critical"]
      warning_alarm_names      = module.monitoring.alarm_names["warning"]
    },
    # By the flag, which is known when planning: the ARN is not.
    var.backup_replica ? { backup_replica_arn = module.backup_replica["main"].arn } : {},
    # SSM stores no empty value: without a certificate there is neither output nor parameter.
    { for name, value in { ssl_certificate_arn = var.ssl_certificate_arn } : name => value if value != null },
  )
}

output "region" {
  description = "AWS region."
  value       = local.outputs.region
}

output "vpc_id" {
  description = "Id of the VPC."
  value       = local.outputs.vpc_id
}

output "public_subnet_ids" {
  description = "Subnets of the load balancer and the NAT gateways."
  value       = local.outputs.public_subnet_ids
}

output "private_subnet_ids" {
  description = "Subnets of the instances."
  value       = local.outputs.private_subnet_ids
}

output "database_subnet_ids" {
  description = "Subnets of the database."
  value       = local.outputs.database_subnet_ids
}

output "alb_security_group_id" {
  description = "Security group of the load balancer."
  value       = local.outputs.alb_security_group_id
}

output "app_security_group_id" {
  description = "Security group of the instances."
  value       = local.outputs.app_security_group_id
}

output "db_security_group_id" {
  description = "Security group of the database."
  value       = local.outputs.db_security_group_id
}

output "alb_url" {
  description = "Where the application answers."
  value       = local.outputs.alb_url
}

output "alb_arn" {
  description = "ARN of the load balancer."
  value       = local.outputs.alb_arn
}

output "alb_arn_suffix" {
  description = "Load balancer as CloudWatch's LoadBalancer dimension names it."
  value       = local.outputs.alb_arn_suffix
}

output "target_group_arn" {
  description = "ARN of the target group."
  value       = local.outputs.target_group_arn
}

output "target_group_arn_suffix" {
  description = "Target group as CloudWatch's TargetGroup dimension names it."
  value       = local.outputs.target_group_arn_suffix
}

output "domain_name" {
  description = "Name the certificate stands for and users type."
  value       = local.outputs.domain_name
}

output "asg_name" {
  description = "Name of the Auto Scaling group."
  value       = local.outputs.asg_name
}

output "asg_min_size" {
  description = "Fewest instances."
  value       = local.outputs.asg_min_size
}

output "asg_max_size" {
  description = "Most instances."
  value       = local.outputs.asg_max_size
}

output "launch_template_id" {
  description = "Id of the launch template."
  value       = local.outputs.launch_template_id
}

output "ecr_repository_url" {
  description = "Registry and repository of the application's images."
  value       = local.outputs.ecr_repository_url
}

output "db_identifier" {
  description = "Identifier of the database instance."
  value       = local.outputs.db_identifier
}

output "db_endpoint" {
  description = "Host name of the database, without the port: what psql -h takes."
  value       = local.outputs.db_endpoint
}

output "db_port" {
  description = "Port of the database."
  value       = local.outputs.db_port
}

output "db_secret_arn" {
  description = "Secret with the database's address and credentials."
  value       = local.outputs.db_secret_arn
}

output "backup_bucket" {
  description = "Bucket of the database's exports, baselines and reports."
  value       = local.outputs.backup_bucket
}

output "export_role_arn" {
  description = "Role with which RDS writes an export into that bucket."
  value       = local.outputs.export_role_arn
}

output "export_kms_key_arn" {
  description = "Key that encrypts what is in that bucket."
  value       = local.outputs.export_kms_key_arn
}

output "backup_replica_arn" {
  description = "The automated backups' replica in another Region; absent without one."
  value       = lookup(local.outputs, "backup_replica_arn", null)
}

output "log_group_name" {
  description = "Log group of the application."
  value       = local.outputs.log_group_name
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard."
  value       = local.outputs.dashboard_name
}

output "cloudwatch_dashboard_url" {
  description = "The dashboard in the console."
  value       = local.outputs.cloudwatch_dashboard_url
}

output "sns_critical_topic_arn" {
  description = "Topic of the critical alarms."
  value       = local.outputs.sns_critical_topic_arn
}

output "sns_warning_topic_arn" {
  description = "Topic of the warnings."
  value       = local.outputs.sns_warning_topic_arn
}

output "critical_alarm_names" {
  description = "Alarms that page the on-call engineer."
  value       = local.outputs.critical_alarm_names
}

output "warning_alarm_names" {
  description = "Alarms that are mailed only."
  value       = local.outputs.warning_alarm_names
}

output "ssl_certificate_arn" {
  description = "Certificate of the HTTPS listener; absent without one."
  value       = lookup(local.outputs, "ssl_certificate_arn", null)
}
